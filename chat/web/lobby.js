/* Opens the chat when the model is there, and says if the server has stopped meanwhile. */

{
    const line = /** @type {HTMLElement} */ (document.querySelector("p"));
    const bar = /** @type {HTMLElement} */ (document.querySelector("progress"));
    let failures = 0;

    async function poll() {
        try {
            const answer = await fetch("health", {cache: "no-store"});
            if ((await answer.json()).status !== "loading") return location.reload();
            failures = 0;
        } catch {
            failures += 1;
        }
        /* Not at once: a poll may fall between this server and Gradio's. */
        const stopped = failures > 2;
        const text = stopped ? line.dataset.stopped : line.dataset.loading;
        if (text && line.textContent !== text) line.textContent = text;
        bar.hidden = stopped;
        setTimeout(poll, 1000);
    }

    setTimeout(poll, 1000);
}
