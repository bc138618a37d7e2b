// @ts-check
// What can be done with each message of the conversation, beside what Gradio offers.

/** What is drawn on the buttons, as paths of 24 by 24. */
const PREVIOUS = "m14 6-6 6 6 6", NEXT = "m10 6 6 6-6 6";
const BRANCH = "M7 4v16m0-5c0-5 10-2 10-8V5m-3 3 3-3 3 3";
const EDIT = "M4 20h4L19 9l-4-4L4 16v4m9-13 4 4";
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
    // Next to one another, as the first of them finds them: formulas are thousands of elements.
    const all = document.querySelector("#said .message-row")?.parentElement?.children ?? [];
    const rows = [...all].filter((one) => one.matches(".message-row"));
    rows.forEach((row, at) => {
        const bar = row.nextElementSibling;
        if (!bar?.matches(".message-buttons")) return;
        const said = current.branch.rows[at];
        const several = said?.length > 1 && said[0].role === "user";
        bar.classList.toggle("several", several);
        const ways = said && current.branch.forks.get(at);
        const place = ways ? `${ways.indexOf(null) + 1} of ${ways.length}` : "";
        const drawn = JSON.stringify([place, said?.[0].role, several, said?.made]);
        const there = /** @type {HTMLElement | null} */ (bar.querySelector(".tools"));
        if (there && there.dataset.drawn === drawn) return;
        const about = said?.made ? details(said.made) : [];
        const edit = several ? [tool(EDIT, "Edit", () => editRow(at))] : [];
        const tools = make("span", {className: "tools"},
            ...versions(at, place), ...edit, ...actions(at), ...ratings(at), ...about);
        tools.dataset.drawn = drawn;
        there?.remove();
        bar.append(tools);
        const [focusedAt, label] = focusTool ?? [];
        // Unless somebody has gone on meanwhile.
        if (focusedAt !== at || document.activeElement !== document.body) return;
        const usable = [...tools.querySelectorAll("button")].filter(({disabled}) => !disabled);
        (usable.find(({ariaLabel}) => ariaLabel === label) ?? usable[0]).focus();
    });
}

/**
 * Have a button of a row keep the focus when it has changed the conversation.
 * @param {number} at
 * @param {string} label what it is called
 */
function keepFocus(at, label) {
    focusTool = [at, label];
    setTimeout(() => focusTool = undefined, 1000);
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
    const go = (next) => inTurn(() => {
        leaveEditing();
        take(current.branch, at, next - 1);
        keepFocus(at, next < number ? "Previous version" : "Next version");
        rearrange();
    });
    return [
        tool(PREVIOUS, "Previous version", () => go(number - 1), number === 1),
        make("span", {textContent: place}),
        tool(NEXT, "Next version", () => go(number + 1), number === last),
    ];
}

/**
 * Return what can be done with any row.
 * @param {number} at
 */
const actions = (at) => [
    tool(BRANCH, "Branch into a new conversation", () => branchOff(at)),
    tool(DELETE, "Delete message", () => deleteRow(at)),
];

/**
 * Return what somebody can say of a reply, if the host collects that.
 * @param {number} at
 */
function ratings(at) {
    if (!RATED || current.branch.rows[at]?.[0].role !== "assistant") return [];
    /** @type {[string, string, boolean][]} */
    const ways = [[GOOD, "Good reply", true], [BAD, "Bad reply", false]];
    return ways.map(([path, label, good]) => tool(path, label, () => {
        const rated = current.branch.rows.slice(0, at + 1).flat();  // another may be opened
        say(
            "Your rating is sent to whoever runs this page, with the conversation up to here.",
            "Send rating",
            async () => {
                await ask("rate", rated, good);
                say("Thank you.");
            },
        );
    }));
}

/**
 * Return a button for one row.
 * @param {string} path what is drawn on it
 * @param {string} label
 * @param {() => unknown} action
 * @param {boolean} [disabled]
 */
function tool(path, label, action, disabled = false) {
    const drawn = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg>`;
    return button("", action, {innerHTML: drawn, ariaLabel: label, title: label, disabled});
}

/**
 * Take a message of several parts back to where one is written, as Gradio edits each by itself.
 * @param {number} at
 */
function editRow(at) {
    const row = current.branch.rows[at];
    return inTurn(() => {
        if (current.branch.rows[at] !== row) return;  // it is there already
        if (messageBox()?.value.trim()) throw new Problem("There is a message in the box already.");
        current.edited = Math.max(0, current.branch.forks.get(at)?.indexOf(null) ?? 0);
        leave(current.branch, at);
        restoreFiles(row);
        const said = row.filter(({metadata}) => !metadata?.title);
        typeMessage(said.map(({content}) => window.plainText(textOf(content))).join("\n\n"));
        current.editing = true;
        show(current, current.branch.rows.flat());  // what is saved stays until it is sent
    });
}

/** Have a message that is edited be where it was. */
function leaveEditing() {
    const {branch, editing, edited = 0} = current;
    if (editing) take(branch, branch.rows.length, edited, false);
    current.editing = false;
}

/**
 * Go on from a message in a conversation of its own.
 * @param {number} at
 */
async function branchOff(at) {
    await untilQuiet();
    const {id, branch, title} = current;
    const system = typedIn === id ? own : current.system;
    const name = names.get(title ?? "");
    /** @type {{name: string, title: string} | undefined} */
    const sealed = name === undefined ? undefined : await ask("rename", `${name} (${window.translate("branch")})`);
    await untilQuiet();
    wanted++;
    if (sealed) names.set(sealed.title, sealed.name);
    current = {...newConversation(), system, untitled: false};
    add(current.branch, {rows: branch.rows.slice(0, at + 1), forks: new Map()});
    rearrange(sealed?.title);
}

/**
 * Take a message out of the conversation, and offer it back.
 * @param {number} at
 */
function deleteRow(at) {
    const row = current.branch.rows[at];
    return inTurn(() => {
        leaveEditing();
        const {id, branch} = current;
        if (branch.rows[at] !== row) return;  // it is gone already
        const before = structuredClone(branch);
        takeOut(branch, at);
        keepFocus(Math.min(at, branch.rows.length - 1), "Delete message");
        rearrange();
        say("The message is deleted.", "Restore", () => inTurn(async () => {
            const saved = savedConversations().find((one) => one.id === id);
            if (current.id !== id && saved) await openSaved(saved);
            if (current.id !== id) throw new Problem("Its conversation is not there any more.");
            current.branch = before;
            rearrange();
        }));
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
