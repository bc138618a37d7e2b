// @ts-check
// The end of the conversation stays in sight while it grows, unless somebody has scrolled away; and
// the page's style is told whether anything is said yet, or asked now.

{
    /** In pixels: so near to the end somebody is at the end. */
    const NEAR = 60;
    const MESSAGE = "[data-testid=user], [data-testid=bot]";

    /** Have the conversation followed, once it is there with its two parts. */
    function follow() {
        if (document.getElementById("text")) return;  // it is a base model's page
        const said = document.getElementById("conversation");
        const composer = document.getElementById("composer");
        const parts = /** @type {HTMLElement[]} */ ([...said?.children ?? []]);
        if (!said || !composer || parts.length < 2) return requestAnimationFrame(follow);
        document.documentElement.dataset.page = "chat";
        /**
         * Return the last messages of a part, with the lines of buttons below them.
         * @param {HTMLElement} part
         */
        const lastRows = (part) => /** @type {HTMLElement[]} */ (
            [...part.querySelector(".message-wrap")?.children ?? []].slice(-4));
        /**
         * Return what the last reply of a part consists of: its paragraphs, its blocks of code.
         * @param {HTMLElement} part
         */
        const blocks = (part) => {
            const reply = lastRows(part).filter((row) => row.matches(".bot-row")).at(-1);
            const texts = [...reply?.getElementsByClassName("prose") ?? []];
            return /** @type {HTMLElement[]} */ (texts.flatMap((text) => [...text.children]));
        };
        /**
         * How high those of the reply that is written are.
         * @type {number[]}
         */
        let heights = [];
        /** And what of the conversation is in sight. */
        let inSight = innerHeight;
        /**
         * The last turn.
         * @type {HTMLElement[]}
         */
        let latest = [];
        // At its end Gradio makes it anew, among what was said before. It is as high as it was, so
        // that nobody is moved; and what is out of sight is drawn block by block, since to draw a
        // long one takes the browser longer than somebody who types should wait.
        const settle = () => {
            const made = blocks(parts[0]);
            if (made.length !== heights.length) return;  // its text comes a little later
            for (const row of latest) row.style.removeProperty("content-visibility");
            latest = lastRows(parts[0]);
            for (const row of latest) row.style.setProperty("content-visibility", "visible");
            /** @type {HTMLElement[]} */
            const hidden = [];
            let below = 0;
            if (atEnd) for (const block of made.reverse()) {
                const height = heights.pop() ?? 0;
                if (below > inSight) {
                    hidden.push(block);
                    block.style.cssText =
                        `content-visibility: hidden; contain-intrinsic-block-size: ${height}px`;
                }
                below += height;
            }
            heights = [];
            const draw = () => {
                const next = hidden.shift();
                if (!next) return;
                next.removeAttribute("style");
                requestAnimationFrame(draw);
            };
            requestAnimationFrame(draw);
        };
        const tell = () => {
            const [before, live] = parts.map((part) => Boolean(part.querySelector(MESSAGE)));
            said.toggleAttribute("data-unsaid", !before);
            said.toggleAttribute("data-asked", live);
            if (!live && heights.length) settle();
        };
        for (const part of parts)
            new MutationObserver(tell).observe(part, {subtree: true, childList: true});
        tell();
        let atEnd = true, top = 0;
        const toEnd = () => {
            atEnd = true;
            // What stands there before the first message is read from its beginning.
            said.scrollTop = said.querySelector(MESSAGE) ? said.scrollHeight : 0;
            top = said.scrollTop;
            look();
        };
        const jump = document.createElement("button");
        Object.assign(jump, {id: "jump", type: "button", ariaLabel: "To the end", textContent: "↓"});
        jump.onclick = toEnd;
        composer.prepend(jump);
        const look = () => jump.hidden = atEnd;
        said.addEventListener("scroll", () => {
            const left = said.scrollHeight - said.clientHeight - said.scrollTop;
            // What grows scrolls nobody: only who goes up has left the end. What shrinks leaves
            // people exactly there, whether they want to be or not.
            if (said.scrollTop < top) atEnd &&= left <= 1;
            else if (said.scrollTop > top && left < NEAR) atEnd = true;
            top = said.scrollTop;
            look();
        }, {passive: true});
        const resized = new ResizeObserver(() => {
            top = Math.min(top, said.scrollTop);  // what shrinks scrolls nobody either
            if (atEnd) toEnd();
            else look();
            const written = blocks(parts[1]).map((block) => block.clientHeight);
            if (written.length) heights = written;
            inSight = said.clientHeight;
        });
        for (const part of [said, ...parts]) resized.observe(part);
        window.toEnd = toEnd;
        look();
    }
    requestAnimationFrame(follow);
}
