// @ts-check
// What was changed among the controls: it is marked, and there again when the page is loaded anew.

{
    // Whoever else logs in within this tab has their own.
    const name = () =>
        ["fourbit-chat:controls", window.gradio_config.username].filter(Boolean).join(":");

    const SYSTEM = "setting-system_prompt";
    /** Whether they have been set again, before which what is kept is not theirs. */
    let restored = false;

    window.changedControls = (atFirst, values) => {
        /** @type {Record<string, unknown>} */
        const changed = {};
        Object.entries(atFirst).forEach(([id, first], number) => {
            const differs = String(values[number]) !== String(first);
            document.getElementById(id)?.classList.toggle("changed", differs);
            if (id === SYSTEM) window.conversations?.typed(String(values[number]));
            else if (differs) changed[id] = values[number];
        });
        if (restored) try {
            sessionStorage[name()] = JSON.stringify(changed);
        } catch {}  // where the browser lets the page keep nothing
    };
    window.keptControls = (atFirst, values) => {
        restored = true;
        try {
            const kept = JSON.parse(sessionStorage[name()] ?? "{}");
            return Object.keys(atFirst).map((id, number) => kept[id] ?? values[number]);
        } catch {
            return values;
        }
    };
}
