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
        const tell = () => {
            const [before, live] = parts.map((part) => Boolean(part.querySelector(MESSAGE)));
            said.toggleAttribute("data-unsaid", !before);
            said.toggleAttribute("data-asked", live);
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
        });
        for (const part of [said, ...parts]) resized.observe(part);
        window.toEnd = toEnd;
        look();
    }
    requestAnimationFrame(follow);
}
