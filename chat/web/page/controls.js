// @ts-check
// What was changed among the controls: it is marked, and there again when the page is loaded anew.

{
    // Whoever else logs in within this tab has their own.
    const name = () =>
        ["fourbit-chat:controls", window.gradio_config.username].filter(Boolean).join(":");

    const SYSTEM = "setting-system_prompt";

    window.changedControls = (atFirst, values) => {
        /** @type {Record<string, unknown>} */
        const changed = {};
        Object.entries(atFirst).forEach(([id, first], number) => {
            const differs = String(values[number]) !== String(first);
            document.getElementById(id)?.classList.toggle("changed", differs);
            if (id === SYSTEM) window.conversations?.typed(String(values[number]));
            else if (differs) changed[id] = values[number];
        });
        try {
            sessionStorage[name()] = JSON.stringify(changed);
        } catch {}  // where the browser lets the page keep nothing
    };
    window.keptControls = (atFirst, values) => {
        try {
            const kept = JSON.parse(sessionStorage[name()] ?? "{}");
            return Object.keys(atFirst).map((id, number) => kept[id] ?? values[number]);
        } catch {
            return values;
        }
    };
}
