// @ts-check
// What the page does in the browser beyond Gradio's own.

{
    // What keeps HTML from being seen as such (chat/web/page/escape.py) is not copied with it.
    /** @param {unknown} text */
    const unescape = (text) => String(text).replace(new RegExp(MARKED, "g"), "$1");
    const clipboard = navigator.clipboard;  // missing where the page comes over plain HTTP
    if (clipboard) {
        const write = clipboard.writeText.bind(clipboard);
        clipboard.writeText = (text) => write(unescape(text));
    }
    document.addEventListener("copy", (event) => {
        const selected = String(getSelection());
        if (unescape(selected) === selected) return;
        event.clipboardData?.setData("text/plain", unescape(selected));
        event.preventDefault();
    });
}

/** The text box loses the cursor when it is locked; not on phones, where it calls the keyboard. */
window.focusMessage = () => {
    /** @type {HTMLElement | null} */
    const box = document.querySelector("#message textarea");
    if (document.activeElement === document.body && matchMedia("(pointer: fine)").matches)
        box?.focus({preventScroll: true});
};
