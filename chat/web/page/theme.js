// @ts-check
// What the page does in the browser beyond Gradio's own.

{
    // What keeps text from being seen as Markdown (chat/web/page/escape.py) is not copied with it.
    const escaped = new RegExp(ESCAPED, "g");
    // Nor are the thoughts before a reply (chat/web/page/messages.py).
    const thoughts = new RegExp(COPIED, "gm");
    /** @param {unknown} text a message as the server sent it */
    const unescape = (text) => String(text).replace(
        escaped, (_, number, sign) => sign ?? String.fromCodePoint(number));
    window.plainText = unescape;
    /** @param {string} text a message as it is on the screen, where references are signs */
    const unmarked = (text) => text.replace(escaped, (whole, _, sign) => sign ?? whole);
    /** @param {string} text */
    const writeAsSelected = async (text) => {
        const box = document.createElement("textarea");
        const focused = document.activeElement;
        box.value = text;
        box.style.cssText = "position: fixed; opacity: 0";
        document.body.append(box);
        box.select();
        const copied = document.execCommand("copy");
        box.remove();
        if (focused instanceof HTMLElement) focused.focus({preventScroll: true});
        if (!copied) throw new Error("The browser lets the page copy nothing.");
    };
    const clipboard = navigator.clipboard;  // missing where the page comes over plain HTTP
    const write = clipboard?.writeText.bind(clipboard) ?? writeAsSelected;
    /** @param {string} text */
    const writeText = (text) => write(unescape(String(text).replace(thoughts, "")));
    if (clipboard) clipboard.writeText = writeText;
    else Object.defineProperty(navigator, "clipboard", {value: {writeText}});
    document.addEventListener("copy", (event) => {
        const selected = String(getSelection());
        if (unmarked(selected) === selected) return;
        event.clipboardData?.setData("text/plain", unmarked(selected));
        event.preventDefault();
    });

    // Nor is it there to be edited. The server takes what such a box holds as it is.
    const ready = new WeakSet();
    document.addEventListener("focusin", () => {
        /** @type {NodeListOf<HTMLTextAreaElement>} */
        const boxes = document.querySelectorAll(".edit-textarea");
        for (const box of boxes) {
            if (ready.has(box)) continue;
            ready.add(box);
            box.value = unescape(box.value);
            box.dispatchEvent(new Event("input", {bubbles: true}));
        }
    });
}

{
    // To Gradio the title of a folded message is a button that knows no space bar and does not
    // say whether it is open, with another button in it.
    const ready = new WeakSet();
    whenThere(".thought-group > [role=button]", (title) => {
        title.ariaExpanded = String(title.classList.contains("expanded"));
        if (ready.has(title)) return;
        ready.add(title);
        title.querySelector(".arrow")?.setAttribute("inert", "");
        title.closest(".thought-group")?.setAttribute("aria-live", "off");  // it is long
        title.addEventListener("keydown", (event) => {
            if (event.key !== " ") return;
            event.preventDefault();
            title.click();
        });
    });
}

// Each block of code says what it is in (theme.css).
whenThere(".code_wrap", (block) => {
    const code = block.querySelector("code")?.className ?? "";
    const language = /language-(\S+)/.exec(code)?.[1];
    if (language) block.dataset.language = language;
});

/**
 * Do something with each element of a kind that comes to the page, or whose classes change. What is
 * there already is not looked through: after 200 turns that takes longer than all else.
 * @param {string} selector
 * @param {(found: HTMLElement) => void} use
 */
function whenThere(selector, use) {
    new MutationObserver((changes) => {
        for (const {target, addedNodes} of changes) for (const one of [target, ...addedNodes]) {
            if (!(one instanceof HTMLElement)) continue;
            if (one.matches(selector)) use(one);
            if (one !== target) for (const inner of one.querySelectorAll(selector))
                use(/** @type {HTMLElement} */ (inner));
        }
    }).observe(document, {subtree: true, childList: true, attributeFilter: ["class"]});
}

{
    // With each update of a reply it also copies the whole conversation, text by text; to have a
    // text copied takes the browser a hundred times as long as to give it back.
    const clone = window.structuredClone;
    window.structuredClone = (value, options) =>
        ["string", "number", "boolean"].includes(typeof value) || value === null
            ? value : clone(value, options);
}

{
    // With each update of a reply Gradio's page sets the direction of all messages anew, to what
    // it is already, and the browser then styles all that is in them anew.
    const own = Object.getOwnPropertyDescriptor(HTMLElement.prototype, "dir");
    if (own?.set) Object.defineProperty(HTMLElement.prototype, "dir", {
        ...own,
        /** @this {HTMLElement} @param {string} direction */
        set(direction) {
            if (this.dir !== direction) own.set?.call(this, direction);
        },
    });
}

/**
 * The text box loses the cursor when it is locked; not on phones, where it calls the keyboard. What
 * is new is laid out then, which is enough for one task of the browser's.
 */
window.focusMessage = () => setTimeout(() => {
    /** @type {HTMLElement | null} */
    const box = document.querySelector("#message textarea");
    const selects = getSelection()?.isCollapsed === false;  // which would be gone
    if (document.activeElement === document.body && !selects && matchMedia("(pointer: fine)").matches)
        box?.focus({preventScroll: true});
});
