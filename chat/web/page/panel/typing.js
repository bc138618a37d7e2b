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

if (TOUCH_ENTER === "newline")
    document.addEventListener("keydown", (event) => {
        const plain = event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.metaKey;
        // Before Gradio hears of it, which would send.
        if (plain && event.target === messageBox() && matchMedia("(pointer: coarse)").matches)
            event.stopImmediatePropagation();
    }, true);
