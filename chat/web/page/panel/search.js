// @ts-check
// Finding conversations by words of their titles, and of what was said in them. The server opens
// what was said, in parts, once for each tab (chat/web/page/panel/saved.py). It is kept in the
// tab's memory and nowhere else, and what is looked for never leaves the tab.

/**
 * @typedef {object} Said What was said in a conversation.
 * @property {number} time when it was saved, in milliseconds
 * @property {string} text
 * @property {string} folded the same as it is compared, letter by letter
 */

/**
 * By ids.
 * @type {Map<string, Said>}
 */
const said = new Map();
/**
 * That the server is opening what was said.
 * @type {Promise<void> | undefined}
 */
let opening;

/**
 * Letters without their accents.
 * @type {Map<string, string>}
 */
const bare = new Map();

/**
 * Return a letter without its accent, if that is one of those of Europe's scripts.
 * @param {string} letter
 */
function withoutAccent(letter) {
    let known = bare.get(letter);
    if (known === undefined) {
        const [base, mark] = letter.normalize("NFD");
        known = mark >= "\u0300" && mark <= "\u036f" ? base : letter;
        bare.set(letter, known);
    }
    return known;
}

/**
 * Return a text as it is compared: as long as it was, so that what is found in one is there in
 * the other.
 * @param {string} text in NFC
 */
const fold = (text) =>
    text.replace(/[^\0-\x7f]/g, withoutAccent).toLowerCase().replaceAll("ς", "σ");

/**
 * Return the words that are looked for.
 * @param {string} query
 */
const wordsOf = (query) => fold(query.normalize()).split(/\s+/).filter(Boolean);

/**
 * Have the server open what it has not opened yet for this tab, if there is any, and `show` what
 * is there before all is.
 * @param {() => void} show
 */
function openTexts(show) {
    const missing = savedConversations().filter(({id, time}) => said.get(id)?.time !== time);
    if (missing.length) opening ??= openAll(missing, show).finally(() => opening = undefined);
    return opening;
}

/**
 * @param {Saved[]} missing
 * @param {() => void} show
 */
async function openAll(missing, show) {
    while (missing.length) {
        let size = 0, count = 0;
        do size += missing[count++].sealed.length;
        while (
            count < Math.min(missing.length, MOST_CONVERSATIONS) &&
            size + missing[count].sealed.length <= LARGEST_SEARCH
        );
        const some = missing.slice(0, count);
        /** @type {(string | null)[]} */
        const texts = await ask("texts", some.map(({sealed}) => sealed));
        texts.forEach((found, index) => {
            const {id, time} = some[index];
            const text = (found ?? "").normalize();
            said.set(id, {time, text, folded: fold(text)});
        });
        missing.splice(0, texts.length);
        if (missing.length) show();
    }
}

/**
 * Return the conversations with all of these words in their titles, and then those with some of
 * them, or all, in what was said, as far as the server has opened that.
 * @param {Saved[]} conversations
 * @param {string[]} words
 * @returns {Group[]}
 */
function found(conversations, words) {
    /** @type {Saved[]} */
    const titled = [];
    /** @type {Saved[]} */
    const told = [];
    for (const one of conversations) {
        const title = fold(one.name.normalize());
        const others = words.filter((word) => !title.includes(word));
        if (!others.length) titled.push(one);
        else if (others.every((word) => said.get(one.id)?.folded.includes(word))) told.push(one);
    }
    return [
        {label: "In titles", conversations: titled},
        {label: "In messages", conversations: told},
    ].filter(({conversations}) => conversations.length);
}

/** Letters of an excerpt before the word that is found, and after its beginning. */
const BEFORE = 30, AFTER = 120;

/**
 * Return what stands around the first of these words in a conversation, in one line, without
 * the commonest marks of Markdown.
 * @param {string} id
 * @param {string[]} words
 */
function excerpt(id, words) {
    const {text, folded} = said.get(id) ?? {text: "", folded: ""};
    const at = Math.min(...words.map((word) => folded.indexOf(word)).filter((place) => place >= 0));
    let begin = Math.max(0, at - BEFORE);
    if (begin) begin += text.slice(begin, at).search(/\s\S/) + 1;  // not in the middle of a word
    const part = text.slice(begin, at + AFTER).replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, "");
    const line = part.replace(/\*\*|```/g, "").replace(/\s+/g, " ").trim();
    return `${begin ? "…" : ""}${line}${at + AFTER < text.length ? "…" : ""}`;
}

/**
 * Return a text with these words marked in it.
 * @param {string} text
 * @param {string[]} words
 */
function marked(text, words) {
    text = text.normalize();
    const longest = [...words].sort((one, other) => other.length - one.length);
    const signs = longest.map((word) => word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
    /** @type {(string | HTMLElement)[]} */
    const parts = [];
    let end = 0;
    for (const {0: {length}, index} of fold(text).matchAll(new RegExp(signs.join("|"), "g"))) {
        const textContent = text.slice(index, index + length);
        parts.push(text.slice(end, index), make("mark", {textContent}));
        end = index + length;
    }
    return [...parts, text.slice(end)];
}
