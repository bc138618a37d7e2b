// @ts-check
// What is seen of it: the list, its buttons, and a sentence above everything.

const list = find(".list");
const hint = find(".hint");
const picker = /** @type {HTMLInputElement} */ (find("[type=file]"));
const saying = make("div", {id: "saying", role: "status"});

/**
 * Return a new element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} properties
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function make(tag, properties, ...children) {
    const made = document.createElement(tag);
    Object.assign(made, properties);
    made.append(...children);
    return made;
}

/**
 * Return a new button.
 * @param {string} text
 * @param {() => unknown} action
 * @param {Partial<HTMLButtonElement>} [properties]
 */
function button(text, action, properties) {
    return make("button", {textContent: text, onclick: attempt(action), ...properties});
}

/**
 * Return `action` with its problems said.
 * @template {unknown[]} Values
 * @param {(...values: Values) => unknown} action
 * @returns {(...values: Values) => Promise<void>}
 */
function attempt(action) {
    return async (...values) => {
        try {
            await action(...values);
        } catch (error) {
            if (!(error instanceof Problem)) console.error(error);
            say(error instanceof Problem ? error.message : "That did not work. Please try again.");
        }
    };
}

/**
 * Say a sentence, until the next one, and offer what can be done about it.
 * @param {string} sentence
 * @param {string} [offer]
 * @param {() => unknown} [action]
 */
function say(sentence, offer, action) {
    dismiss();
    saying.append(make("span", {textContent: sentence}));
    if (offer) saying.append(button(offer, () => (dismiss(), action?.()), {className: "offer"}));
    saying.append(button("×", dismiss, {ariaLabel: "Close"}));
}

const dismiss = () => saying.replaceChildren();

/**
 * Say a sentence no longer, if it is the one that is said.
 * @param {string} sentence
 */
function unsay(sentence) {
    const said = saying.firstElementChild?.textContent ?? "";
    if ([sentence, window.translate(sentence)].includes(said)) dismiss();
}

const offered = () => saying.querySelector(".offer") !== null;

/** Return whether the side bar leaves room for the conversation. */
const hasRoom = () => matchMedia("(min-width: 1024px)").matches;

/** Show what there is now, of what is looked for. */
function draw() {
    const focused = list.contains(document.activeElement) && document.activeElement;
    if (focused && focused.matches("input")) return;  // a title is being typed
    const focusAgain = focused ? placeOf(focused) : undefined;
    const all = savedConversations();
    const words = wordsOf(box.value);
    const groups = words.length ? found(all, words) : grouped(all);
    list.replaceChildren(...groups.flatMap(({label, conversations}) => [
        make("h2", {textContent: label}),
        make("ul", {ariaLabel: label}, ...conversations.map((one) => row(one, words))),
    ]));
    if (words.length) tellFound(list.querySelectorAll("li").length);
    else count.textContent = "";
    window.nameConversation?.(all.find(({id}) => id === current.id)?.name);
    hint.hidden = all.length > 0 && lasts;
    box.hidden = !all.length && !words.length;
    inPanel("export").disabled = !all.length;
    focusAgain?.();
}

/**
 * Return what gives the focus back to a button once the list is drawn anew.
 * @param {Element} focused
 */
function placeOf(focused) {
    const item = /** @type {HTMLElement} */ (focused.closest("li"));
    const place = [...item.querySelectorAll("button")].findIndex((one) => one === focused);
    return () => {
        const items = [...list.querySelectorAll("li")];
        const drawn = items.find(({dataset}) => dataset.id === item.dataset.id);
        drawn?.querySelectorAll("button")[place]?.focus();
    };
}

/**
 * Return a conversation's part of the list, with the words marked that are looked for.
 * @param {Saved} conversation
 * @param {string[]} words
 */
function row(conversation, words) {
    const {id, name, pinned} = conversation;
    const title = button(name, () => openSaved(conversation), {title: name, dir: "auto", translate: false});
    if (words.length) title.replaceChildren(...marked(name, words));
    if (words.some((word) => !fold(name.normalize()).includes(word)))
        title.append(make("small", {dir: "auto"}, ...marked(excerpt(id, words), words)));
    const made = make("li", {}, title);
    made.dataset.id = id;
    if (id !== current.id) return made;
    title.ariaCurrent = "true";
    made.className = "open";
    made.append(make("div", {},
        button("Rename", () => rename(conversation, title)),
        button(pinned ? "Unpin" : "Pin", () => (pin(id, !pinned), draw())),
        button("Export", () => download((one) => one.id === id, fileName(name)), {
            title: "As JSON, which can be imported again",
        }),
        button("Markdown", () => downloadMarkdown(id), {title: "Export as Markdown, to read"}),
        button("Delete", () => openNew().then(() => discard(id))),
    ));
    return made;
}

/**
 * Let the title be typed in its place: Enter or leaving it saves, Escape does not.
 * @param {Saved} conversation
 * @param {HTMLElement} title
 */
function rename({id, name}, title) {
    const field = make("input", {
        value: name, maxLength: LONGEST_TITLE, ariaLabel: "Title", dir: "auto",
    });
    field.onblur = attempt(async () => {
        const typed = field.value.trim();
        if (typed && typed !== name) {  // which stays there if that fails
            /** @type {{name: string, title: string}} */
            const renamed = await ask("rename", typed);
            names.set(renamed.title, renamed.name);
            if (id === current.id) current.untitled = false;
            const text = storage[itemName(id, "text")];
            if (text) write({id, title: renamed.title, text});  // unless it was deleted meanwhile
        }
        field.onblur = null;
        field.remove();
        draw();
        if (document.activeElement === document.body) find("[aria-current]", list)?.focus();
    });
    field.onkeydown = ({key, isComposing}) => {
        if (isComposing) return;  // Enter chooses a character, as in Chinese and Japanese
        if (key === "Escape") field.value = name;
        if (key === "Escape" || key === "Enter") field.blur();
    };
    title.replaceWith(field);
    field.select();
}

/**
 * Return the button of the panel with a value.
 * @param {"new" | "import" | "export"} value
 */
const inPanel = (value) => /** @type {HTMLButtonElement} */ (find(`[value=${value}]`));

inPanel("new").onclick = attempt(() => openNew().then(clearSearch));
inPanel("import").onclick = () => picker.click();
inPanel("export").onclick = attempt(() =>
    download(() => true, `fourbit-chat ${new Date().toISOString().slice(0, 10)}`)
);
picker.onchange = attempt(async () => {
    const files = [...picker.files ?? []];
    picker.value = "";
    if (files.length) await upload(files);
});
addToPage(saying);
if (!lasts)
    hint.textContent =
        "This browser lets the page save nothing. Conversations last until the page is closed; " +
        "export those that you want to keep.";
if (hasRoom()) openSideBar(true);
whenLost(() => say("The connection is lost. Connecting again…"));
watchReply();
/** @type {number | undefined} */
let toldOf;
window.addEventListener("storage", () => {
    toldOf ??= setTimeout(attempt(() => {  // another tab may change a thousand items at once
        toldOf = undefined;
        return learnNames().then(draw);
    }), 50);
});
keepDraft();
const opened = attempt(async () => {
    try {
        recallSystem();
        await learnNames();
        draw();
        const last = savedConversations().find(({id}) => id === session[PREFIX + "open"]);
        if (running || wanted) return;
        if (last) await openSaved(last);
        else if (own !== SYSTEM_PROMPT) show(current, []);
    } finally {
        beginning = false;
    }
})();
