// @ts-check
// What can be done with each message of the conversation, beside what Gradio offers.

/** What is drawn on the buttons, as paths of 24 by 24. */
const PREVIOUS = "m14 6-6 6 6 6", NEXT = "m10 6 6 6-6 6";
const BRANCH = "M7 4v16m0-5c0-5 10-2 10-8V5m-3 3 3-3 3 3";
const DELETE = "M5 7h14m-9 0V4h4v3M7 7l1 13h8l1-13";
const GOOD = "M7 10v10H4V10h3m0 1 4-7c2 0 2.5 1 2 3l-1 3h6l-1.5 9H7";
const BAD = "M7 14V4H4v10h3m0-1 4 7c2 0 2.5-1 2-3l-1-3h6L16.5 5H7";
const ABOUT = "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18m0 5v.5m0 3v5";

/**
 * Where the focus is to be once they are drawn anew: which row, and what the button is called.
 * @type {[number, string] | undefined}
 */
let focusTool;

/** Give each message its buttons, and those with other versions the way to them. */
function drawTools() {
    const rows = document.querySelectorAll("#said .message-row");
    rows.forEach((row, at) => {
        const bar = row.nextElementSibling;
        if (!bar?.matches(".message-buttons")) return;
        const said = current.branch.rows[at];
        const ways = said && current.branch.forks.get(at);
        const place = ways ? `${ways.indexOf(null) + 1} of ${ways.length}` : "";
        const drawn = JSON.stringify([place, said?.made]);
        const there = /** @type {HTMLElement | null} */ (bar.querySelector(".tools"));
        if (there && there.dataset.drawn === drawn) return;
        const about = said?.made ? details(at, said.made) : [];
        const tools = make("span", {className: "tools"},
            ...versions(at, place), ...actions(at), ...ratings(at), ...about);
        tools.dataset.drawn = drawn;
        there?.remove();
        bar.append(tools);
        const [focusedAt, label] = focusTool ?? [];
        if (focusedAt !== at) return;
        focusTool = undefined;
        const usable = [...tools.querySelectorAll("button")].filter(({disabled}) => !disabled);
        (usable.find(({ariaLabel}) => ariaLabel === label) ?? usable[0]).focus();
    });
}

/**
 * Return the way to the other versions of a row.
 * @param {number} at
 * @param {string} place which of them it is
 */
function versions(at, place) {
    if (!place) return [];
    const [number, last] = place.split(" of ").map(Number);
    /** @param {number} next */
    const go = (next) => changeBranch((branch) => take(branch, at, next - 1));
    return [
        tool(PREVIOUS, "Previous version", at, () => go(number - 1), number === 1),
        make("span", {textContent: place}),
        tool(NEXT, "Next version", at, () => go(number + 1), number === last),
    ];
}

/**
 * Return what can be done with any row.
 * @param {number} at
 */
const actions = (at) => [
    tool(BRANCH, "Branch into a new conversation", at, () => branchOff(at)),
    tool(DELETE, "Delete message", at, () => deleteRow(at)),
];

/**
 * Return what somebody can say of a reply, if the host collects that.
 * @param {number} at
 */
function ratings(at) {
    if (!RATED || current.branch.rows[at]?.[0].role !== "assistant") return [];
    /** @type {[string, string, boolean][]} */
    const ways = [[GOOD, "Good reply", true], [BAD, "Bad reply", false]];
    return ways.map(([path, label, good]) => tool(path, label, at, () => say(
        "Your rating is sent to whoever runs this page, with the conversation up to here.",
        "Send rating",
        async () => {
            await ask("rate", current.branch.rows.slice(0, at + 1).flat(), good);
            say("Thank you.");
        },
    )));
}

/**
 * Return a button for one row.
 * @param {string} path what is drawn on it
 * @param {string} label
 * @param {number} at
 * @param {() => unknown} action
 * @param {boolean} [disabled]
 */
function tool(path, label, at, action, disabled = false) {
    const press = () => {
        focusTool = [at, label];
        return action();
    };
    const drawn = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg>`;
    return button("", press, {innerHTML: drawn, ariaLabel: label, title: label, disabled});
}

/**
 * Change what is on the screen, once nothing else does.
 * @param {(branch: Branch) => void} change
 */
async function changeBranch(change) {
    await untilQuiet();
    change(current.branch);
    rearrange();
}

/**
 * Go on from a message in a conversation of its own.
 * @param {number} at
 */
async function branchOff(at) {
    await untilQuiet();
    const {system, branch, title} = current;
    const name = names.get(title ?? "");
    /** @type {{name: string, title: string} | undefined} */
    const sealed = name === undefined ? undefined : await ask("rename", `${name} (branch)`);
    await untilQuiet();
    if (sealed) names.set(sealed.title, sealed.name);
    current = {...newConversation(), system, untitled: false};
    add(current.branch, {rows: branch.rows.slice(0, at + 1), forks: new Map()});
    rearrange(sealed?.title);
}

/**
 * Take a message out of the conversation, and offer it back.
 * @param {number} at
 */
async function deleteRow(at) {
    await untilQuiet();
    const {id, branch} = current;
    const before = structuredClone(branch);
    takeOut(branch, at);
    rearrange();
    say("The message is deleted.", "Restore", async () => {
        await untilQuiet();
        const saved = savedConversations().find((one) => one.id === id);
        if (current.id !== id && saved) await openSaved(saved);
        if (current.id !== id) throw new Problem("Its conversation is not there any more.");
        current.branch = before;
        rearrange();
    });
}

{
    // Gradio makes the messages anew whenever one of them has changed.
    const watch = () => {
        const said = document.getElementById("said");
        if (!said) return requestAnimationFrame(watch);  // it comes with the rest of the page
        new MutationObserver(drawTools).observe(said, {subtree: true, childList: true});
    };
    watch();
}
