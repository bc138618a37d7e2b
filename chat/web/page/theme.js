// @ts-check
// What the page does in the browser beyond Gradio's own.

{
    // What keeps HTML from being seen as such (chat/web/page/escape.py) is not copied with it.
    /** @param {unknown} text */
    const unescape = (text) => String(text).replace(new RegExp(MARKED, "g"), "$1");
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
    const writeText = (text) => write(unescape(text));
    if (clipboard) clipboard.writeText = writeText;
    else Object.defineProperty(navigator, "clipboard", {value: {writeText}});
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
