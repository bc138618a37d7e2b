// @ts-check
// What is typed: kept until it is sent, and what Enter does.

/** Keep what is typed until it is sent, for when the page is loaded anew. */
function keepDraft() {
    if (!messageBox()) return requestAnimationFrame(keepDraft);  // it comes with the rest of the page
    const draft = session[DRAFT];
    if (draft && !messageBox()?.value) typeMessage(draft);
    document.addEventListener("input", ({target}) => {
        if (target === messageBox()) keepTyped();
    });
}

/**
 * Keep the system prompt that somebody has typed, for when the page is loaded anew.
 * @param {{system: string, id: string}} typed
 */
function keepSystem(typed) {
    try {
        session[SYSTEM] = JSON.stringify(typed);
    } catch {}  // for which the storage is too full
}

/** Put the system prompt back that somebody has typed. */
function recallSystem() {
    /** @type {{system?: string, id?: string}} */
    const typed = JSON.parse(session[SYSTEM] ?? "{}");
    own = typed.system ?? own;
    typedIn = typed.id;
}

/** Keep what is in the box, once the page has put there what it puts there. */
function keepTyped() {
    setTimeout(() => session[DRAFT] = messageBox()?.value ?? "", 50);
}

/**
 * Put a text where a message is written.
 * @param {string} text
 */
function typeMessage(text) {
    const box = messageBox();
    if (!box) return;
    box.value = text;
    box.dispatchEvent(new Event("input", {bubbles: true}));
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

/** Whether a message is sent as soon as the page has opened what it belongs to. */
let sendsLater = false;

/**
 * Keep a message from being sent without a file that is still being read, or into a new conversation
 * while the page still opens the one that it was in.
 * @param {Event} event
 */
function awaitAll(event) {
    const sends = event instanceof KeyboardEvent
        ? event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === messageBox()
        : event.target instanceof Element && event.target.closest("button.submit-button");
    const opens = beginning && (session[PREFIX + "open"] || session[SYSTEM]);
    if (!sends || !(filesComing || opens)) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    if (filesComing) return say("A file is still being read. Please wait a moment.");
    if (sendsLater) return;
    sendsLater = true;
    opened.then(() => setTimeout(() => {  // when it is on the screen
        sendsLater = false;
        find("button.submit-button", document)?.click();
    }, 100));
}
for (const kind of ["keydown", "keypress", "click"])
    document.addEventListener(kind, awaitAll, true);
