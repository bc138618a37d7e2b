// @ts-check
// The text of a base model's page is kept for when the page is loaded anew.

{
    const box = () => /** @type {HTMLTextAreaElement | null} */ (document.querySelector("#text textarea"));

    /** Put the text back, once its box is there, and keep it from then on. */
    function keepText() {
        if (document.getElementById("composer")) return;  // it is a chat's page
        const there = box();
        if (!there) return requestAnimationFrame(keepText);
        // Whoever else logs in within this tab has their own.
        const name = ["fourbit-chat:text", window.gradio_config.username].filter(Boolean).join(":");
        try {
            const kept = sessionStorage[name];
            if (kept && !there.value) {
                there.value = kept;
                there.dispatchEvent(new Event("input", {bubbles: true}));
            }
        } catch {}  // where the browser lets the page keep nothing
        const keep = () => {
            try {
                sessionStorage[name] = box()?.value ?? "";
            } catch {}
        };
        document.addEventListener("input", keep);
        addEventListener("pagehide", keep);  // what the model has written is no input
    }
    requestAnimationFrame(keepText);
}
