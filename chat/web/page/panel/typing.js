// @ts-check
// What is typed: kept until it is sent, and what Enter does.

/** Keep what is typed until it is sent, for when the page is loaded anew. */
function keepDraft() {
    const draft = session[PREFIX + "draft"];
    const box = messageBox();
    if (draft && box && !box.value) {
        box.value = draft;
        box.dispatchEvent(new Event("input", {bubbles: true}));
    }
    document.addEventListener("input", ({target}) => {
        if (target === messageBox()) session[PREFIX + "draft"] = messageBox()?.value ?? "";
    });
}

/**
 * Keep Gradio from sending a message where somebody wants a new line.
 * @param {KeyboardEvent} event
 */
function keepLine(event) {
    const plain = event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.metaKey;
    if (plain && event.target === messageBox() && matchMedia("(pointer: coarse)").matches)
        event.stopImmediatePropagation();
}
if (TOUCH_ENTER === "newline")
    for (const kind of /** @type {const} */ (["keydown", "keypress"]))
        document.addEventListener(kind, keepLine, true);
