// @ts-check
// The line at the top of the page.

{
    const heading = /** @type {HTMLElement} */ (element.querySelector("h1"));
    const model = /** @type {HTMLElement} */ (element.querySelector(".model"));
    model.textContent = model.title = MODEL;
    window.nameConversation = (name) => heading.textContent = heading.title = name ?? TITLE;
    window.nameConversation();

    /** @type {NodeListOf<HTMLButtonElement>} */
    const buttons = element.querySelectorAll("button[value]");
    /** As wide as Gradio has what lies beside the conversation lie upon all of it. */
    const narrow = matchMedia("(max-width: 768px)");
    // What is covered is not to be reached by keyboard.
    const cover = () => {
        const open = [...buttons].some((button) => button.ariaExpanded === "true");
        for (const id of ["conversation", "composer"])
            document.getElementById(id)?.toggleAttribute("inert", open && narrow.matches);
    };
    narrow.addEventListener("change", cover);
    for (const button of buttons) {
        const follow = () => {
            const bar = document.getElementById(button.value);
            if (!bar) return requestAnimationFrame(follow);  // it comes with the rest of the page
            /** @param {boolean} [open] */
            const toggle = (open) => {
                if (bar.classList.contains("open") === open) return;
                /** @type {HTMLElement | null} */
                const own = bar.querySelector(".toggle-button");
                own?.click();
            };
            const say = () => {
                const open = bar.classList.contains("open");
                button.ariaExpanded = String(open);
                element.closest("main > .column")?.classList.toggle(`${bar.id}-open`, open);
                cover();
            };
            button.onclick = () => toggle();
            bar.addEventListener("keydown", ({key, target, isComposing}) => {
                // In a line that is typed it is for that: a title stays as it was.
                if (key !== "Escape" || target instanceof HTMLInputElement || isComposing) return;
                toggle(false);
                button.focus();
            });
            // Else it would lie upon what somebody is reading.
            narrow.addEventListener("change", () => narrow.matches && toggle(false));
            new MutationObserver(say).observe(bar, {attributeFilter: ["class"]});
            say();
        };
        follow();
    }
}
