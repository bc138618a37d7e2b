// @ts-check
// The end of the conversation stays in sight while it grows, unless somebody has scrolled away.

{
    /** In pixels: so near to the end somebody is at the end. */
    const NEAR = 60;

    /** Have the conversation followed, once it is there. */
    function follow() {
        const said = document.getElementById("conversation");
        const composer = document.getElementById("composer");
        if (!said || !composer) return requestAnimationFrame(follow);
        let atEnd = true, top = 0;
        const toEnd = () => {
            atEnd = true;
            said.scrollTop = said.scrollHeight;
            look();
        };
        const jump = document.createElement("button");
        Object.assign(jump, {id: "jump", type: "button", ariaLabel: "To the end", textContent: "↓"});
        jump.onclick = toEnd;
        composer.prepend(jump);
        const look = () => jump.hidden = atEnd;
        said.addEventListener("scroll", () => {
            const left = said.scrollHeight - said.clientHeight - said.scrollTop;
            // Only who goes up has left the end. What grows scrolls nobody; where a part has got
            // smaller, as at the end of a turn, the browser did it.
            if (left < NEAR) atEnd = true;
            else if (said.scrollTop < top && !parts.some(smaller)) atEnd = false;
            top = said.scrollTop;
            look();
        }, {passive: true});
        const parts = /** @type {HTMLElement[]} */ ([...said.children]);
        /** @type {Map<HTMLElement, number>} */
        const heights = new Map();
        /** @param {HTMLElement} part */
        const smaller = (part) => part.offsetHeight < (heights.get(part) ?? 0);
        const resized = new ResizeObserver(() => {
            for (const part of parts) heights.set(part, part.offsetHeight);
            if (atEnd) toEnd();
            else look();
        });
        for (const part of [said, ...parts]) resized.observe(part);
        window.toEnd = toEnd;
        look();
    }
    requestAnimationFrame(follow);
}
