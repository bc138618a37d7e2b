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
        // At its end Gradio makes it anew, among what was said before.
        const keepLatest = () => {
            for (const row of latest) row.style.removeProperty("content-visibility");
            latest = lastRows(parts[0]);
            for (const row of latest) row.style.setProperty("content-visibility", "visible");
        };
        /**
         * What of it is out of sight and not drawn yet, and how high that is, from the end on.
         * @type {{block: HTMLElement, height: number}[]}
         */
        const undrawn = [];
        // A long one is drawn little by little, each block as high as it was: at once that would
        // take the browser longer than somebody who types should wait.
        const settle = () => {
            const made = blocks(parts[0]);
            if (made.length !== heights.length) return;  // its text comes a little later
            keepLatest();
            let below = 0;
            if (atEnd) for (const block of made.reverse()) {
                const height = heights.pop() ?? 0;
                if (below > inSight) {
                    undrawn.push({block, height});
                    block.style.cssText =
                        `content-visibility: hidden; contain-intrinsic-block-size: ${height}px`;
                }
                below += height;
            }
            heights = [];
            requestAnimationFrame(drawMore);
        };
        const drawMore = () => {
            draw(inSight / 4);
            if (undrawn.length) requestAnimationFrame(drawMore);
        };
        /** @param {number} room in pixels */
        const draw = (room) => {
            for (let next; room > 0 && (next = undrawn.shift()); room -= Math.max(next.height, 1))
                next.block.removeAttribute("style");
        };
        // Whoever looks for a word or copies all finds it.
        document.addEventListener("keydown", ({ctrlKey, metaKey}) => {
            if (ctrlKey || metaKey) draw(Infinity);
        }, true);
        const tell = () => {
            const [before, live] = parts.map((part) => Boolean(part.querySelector(MESSAGE)));
            if (said.hasAttribute("data-asked") && !live) keepLatest();
            if (!before && !live) heights = [];
            said.toggleAttribute("data-unsaid", !before);
            said.toggleAttribute("data-asked", live);
            if (!live && heights.length) settle();
            // What was said in the other part is not read aloud once more.
            parts[0].querySelector("[role=log]")?.setAttribute("aria-live", "off");
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
        jump.onclick = () => {
            toEnd();
            jump.blur();
            getSelection()?.removeAllRanges();
            window.focusMessage();
        };
        composer.prepend(jump);
        const look = () => jump.hidden =
            atEnd || said.scrollHeight - said.clientHeight - said.scrollTop <= 1;
        said.addEventListener("scroll", () => {
            const left = said.scrollHeight - said.clientHeight - said.scrollTop;
            // What grows scrolls nobody: only who goes up has left the end. What shrinks leaves
            // people exactly there, whether they want to be or not.
            if (said.scrollTop < top) atEnd &&= left <= 1;
            else if (said.scrollTop > top && left < NEAR) atEnd = true;
            top = said.scrollTop;
            if (!atEnd) draw(Infinity);
            look();
        }, {passive: true});
        // Whoever unfolds a thought at the end reads it from its beginning.
        for (const kind of ["click", "keydown"]) said.addEventListener(kind, (event) => {
            if (event instanceof KeyboardEvent && event.key !== "Enter") return;
            if (!(event.target instanceof Element)) return;
            const title = event.target.closest(".thought-group > [role=button]");
            if (!title || title.classList.contains("expanded")) return;
            atEnd = false;
            look();
        }, true);
        const resized = new ResizeObserver(() => {
            top = Math.min(top, said.scrollTop);  // what shrinks scrolls nobody either
            if (atEnd) toEnd();
            else look();
            const written = blocks(parts[1]).map((block) => block.clientHeight);
            if (written.length || parts[1].querySelector(MESSAGE)) heights = written;
            inSight = said.clientHeight;
        });
        for (const part of [said, ...parts]) resized.observe(part);
        window.toEnd = toEnd;
        look();
    }
    requestAnimationFrame(follow);
}
