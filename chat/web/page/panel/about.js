// @ts-check
// How a reply was made, and how full the model's window is after it.

const ENDINGS = {
    stop: "by itself",
    length: "at the length limit",
    stopped: "since it was stopped",
    error: "in an error",
};
/** How full the window is when it is time to say so. */
const NEARLY = 0.8;

const figure = new Intl.NumberFormat("en", {maximumFractionDigits: 2});
const meter = make("div", {id: "window", hidden: true});
meter.role = "meter";

/**
 * Return a button for how a reply was made, and that.
 * @param {Made} made
 */
function details(made) {
    const whose = ["Model", ...Object.keys(made.controls).map((name) => CONTROLS[name] ?? name)];
    const list = make("dl", {hidden: true}, ...facts(made).flatMap(([name, value]) => [
        make("dt", {textContent: name}),
        make("dd", {textContent: value, dir: "auto", translate: !whose.includes(name)}),
    ]));
    const shown = tool(ABOUT, "How this reply was made", () => {
        list.hidden = !list.hidden;
        shown.ariaExpanded = String(!list.hidden);
    });
    shown.ariaExpanded = "false";
    return [shown, list];
}

/**
 * Return what is known of a reply, by what it is called.
 * @param {Made} made
 * @returns {[string, string][]}
 */
function facts(made) {
    const {tokens, thought_tokens: thought, dropped_turns: dropped, seconds} = made;
    const left = dropped ? `, without the oldest ${dropped > 1 ? `${dropped} turns` : "turn"}` : "";
    return [
        ["Model", made.model],
        ["Read", inTokens(made.prompt_tokens) + left],
        ...(made.cached_tokens == null ? [] : [
            /** @type {[string, string]} */
            (["From the cache", inTokens(made.cached_tokens)])
        ]),
        ["Wrote", inTokens(tokens) + (thought ? `, ${figure.format(thought)} of them thought` : "")],
        ...(tokens > 1 && seconds > 0 ? [
            /** @type {[string, string]} */
            (["Speed", `${((tokens - 1) / seconds).toFixed(1)} tokens/s`])
        ] : []),
        ["First token", `after ${figure.format(made.first_token)} s`],
        ["Ended", ENDINGS[made.ended]],
        ...Object.entries(made.controls).map(([name, value]) =>
            /** @type {[string, string]} */
            ([CONTROLS[name] ?? name, typeof value === "number" ? figure.format(value) : `${value}`])),
    ];
}

/** @param {number} number */
const inTokens = (number) => `${figure.format(number)} token${number === 1 ? "" : "s"}`;

/** Show how much of the model's window the conversation fills. */
function drawWindow() {
    const made = [...current.branch.rows].reverse().find((row) => row.made)?.made;
    meter.hidden = !made;
    document.getElementById("state")?.append(meter);
    if (!made) return;
    // Thoughts are not read again.
    const used = made.prompt_tokens + made.tokens - made.thought_tokens;
    const kept = Math.min(Number(made.controls.max_new_tokens), made.window / 2, KEPT_TOKENS);
    const room = made.window - kept;
    const full = made.dropped_turns ? 1 : Math.min(1, used / room);
    const next = made.dropped_turns
        ? ". The oldest turns are left out"
        : full < NEARLY ? "" : ". Soon the oldest turns will be left out";
    const title = `${figure.format(used)} of the ${inTokens(made.window)} that the model can see${next}.`;
    meter.style.setProperty("--full", String(full));
    meter.classList.toggle("nearly", full >= NEARLY);
    Object.assign(meter, {title, ariaLabel: title, ariaValueNow: String(used)});
    Object.assign(meter, {ariaValueMin: "0", ariaValueMax: String(made.window)});
}
