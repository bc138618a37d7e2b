// @ts-check
// The page's own words in the language of the browser. They are English everywhere in the code and
// when they come from the server; here each is looked up as it comes to the screen, with its numbers
// and names in place of {these}. What nobody has translated stays, and what people and models have
// written is left alone (`translate="no"`).

{
    /** What stands for a text: the rest are numbers. */
    const TEXTS = ["control", "figures", "file", "info", "names", "path", "reason", "reasons",
        "sentence", "status", "time", "title"];
    /** Those that are nobody's words. */
    const NAMES = ["file", "names", "path", "title"];
    const ATTRIBUTES = ["aria-label", "title", "placeholder"];
    const LEFT = "[translate=no], [data-testid=user], [data-testid=bot], pre";
    const BUT = "[data-testid=bot] .thought-group > [role=button]";

    /** @type {Map<string, string>} */
    let words = new Map();
    /** @type {{form: RegExp, names: string[], said: string}[]} */
    let forms = [];
    /**
     * What was translated before, since the status changes with each word of a reply.
     * @type {Map<string, string>}
     */
    const known = new Map();
    /**
     * What was put in place, which is not to be looked up: some words are the same in two languages,
     * whose numbers are not.
     * @type {WeakMap<Node, Set<string>>}
     */
    const put = new WeakMap();
    const codes = navigator.languages.map((language) => language.split("-")[0].toLowerCase());
    const language = codes.find((code) => code === "en" || LANGUAGES.includes(code)) ?? "en";

    /**
     * Return a text in the language of the browser.
     * @param {string} text
     * @returns {string}
     */
    const translate = (text) => {
        const plain = text.trim();
        if (!plain || !words.size) return text;
        let found = words.get(plain) ?? known.get(plain);
        if (found === undefined) {
            found = inParts(plain, /(\n)/) ?? inForm(plain) ?? inParts(plain, /(; )/) ?? plain;
            if (known.size > 1000) known.clear();
            known.set(plain, found);
        }
        return found === plain ? text : text.replace(plain, () => found);
    };
    /**
     * Return a text of several, if there are several and one of them is known.
     * @param {string} text
     * @param {RegExp} between what stands between them
     */
    const inParts = (text, between) => {
        const parts = text.split(between);
        const said = parts.length > 1 ? parts.map(translate).join("") : text;
        return said === text ? undefined : said;
    };
    /**
     * Return a text with numbers or names in it, if it is one that is known.
     * @param {string} text
     */
    const inForm = (text) => {
        for (const {form, names, said} of forms) {
            const values = form.exec(text)?.slice(1);
            if (values) return said.replace(/\{(\w+)\}/g, (_, name) => {
                const value = values[names.indexOf(name)];
                return NAMES.includes(name) ? value : TEXTS.includes(name) ? translate(value) : number(value);
            });
        }
    };
    /** @param {string} value */
    const number = (value) => {
        const digits = value.split(".")[1]?.length ?? 0;
        return Number(value.replaceAll(",", "")).toLocaleString(language, {
            minimumFractionDigits: digits, maximumFractionDigits: digits,
        });
    };
    /** @param {Element | null} element */
    const isLeft = (element) => element?.closest(LEFT) && !element.closest(BUT);
    /**
     * Return what is to be in a node in place of a text, if anything else is.
     * @param {Node} node
     * @param {string} text
     */
    const inPlace = (node, text) => {
        const there = put.get(node) ?? new Set();
        if (there.has(text)) return;
        const said = translate(text);
        if (said === text) return;
        put.set(node, there.add(said));
        return said;
    };
    /**
     * @param {Element} element
     * @param {string} name
     */
    const translateAttribute = (element, name) => {
        const said = inPlace(element, element.getAttribute(name) ?? "");
        if (said !== undefined) element.setAttribute(name, said);
    };
    /** @param {Node} node */
    const translateNode = (node) => {
        if (node instanceof Text) {
            if (node.parentElement instanceof HTMLTextAreaElement || isLeft(node.parentElement)) return;
            const said = inPlace(node, node.data);
            if (said !== undefined) node.data = said;
        } else if (node instanceof Element && !isLeft(node)) {
            for (const name of ATTRIBUTES) translateAttribute(node, name);
            node.childNodes.forEach(translateNode);
        }
    };
    /** @param {Record<string, string>} catalog by the English */
    const begin = (catalog) => {
        words = new Map(Object.entries(catalog));
        forms = Object.entries(catalog).filter(([text]) => text.includes("{")).map(([text, said]) => {
            /** @type {string[]} */
            const names = [];
            const pattern = text.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{(\w+)\}/g, (_, name) => {
                names.push(name);
                return TEXTS.includes(name) ? "(.+?)" : "([\\d.,]+)";
            });
            return {form: new RegExp(`^${pattern}$`, "s"), names, said, size: text.length};
        }).sort((one, other) => other.size - one.size);  // what is said most exactly first
        document.documentElement.style.setProperty("--changed", JSON.stringify(translate("changed")));
        translateNode(document.body);
        new MutationObserver((changes, observer) => {
            for (const {type, target, addedNodes, attributeName} of changes) {
                if (type === "childList") addedNodes.forEach(translateNode);
                else if (type === "characterData") translateNode(target);
                else if (target instanceof Element && attributeName && !isLeft(target))
                    translateAttribute(target, attributeName);
            }
            observer.takeRecords();  // of what was put in place here
        }).observe(document.body, {
            subtree: true, childList: true, characterData: true, attributeFilter: ATTRIBUTES,
        });
    };

    window.translate = translate;
    document.documentElement.lang = language;
    if (language === "ar") document.documentElement.dir = "rtl";
    if (language !== "en")
        fetch(`./words/${language}.json`).then((answer) => answer.json()).then((catalog) => {
            if (document.body) begin(catalog);
            else document.addEventListener("DOMContentLoaded", () => begin(catalog));
        }).catch(() => {});  // then it stays English
}
