// @ts-check
// Files that come with a message: chosen, dropped or pasted, read by the server, which keeps
// nothing (chat/web/page/attach.py), and shown above the box until the message is sent.

/**
 * @typedef {object} Chip A file that comes with the next message.
 * @property {string} title
 * @property {string} block how it stands before the message
 * @property {number} tokens
 */

/** Characters of a pasted text that is a file. */
const LONG = 3000;
const ATTACH = "m20 11-8.5 8.5a5 5 0 0 1-7-7L13 4a3.5 3.5 0 0 1 5 5l-8.5 8.5a2 2 0 0 1-3-3L14 7";

/** @type {Chip[]} */
let chips = [];
/**
 * Those that were sent with the message that is answered now.
 * @type {Chip[]}
 */
let sent = [];
/** Whether they lie nowhere else yet. */
let unsaved = false;
/** How many rows there were before it. */
let sentAfter = 0;
/** That files are read, one after another, and how many of them are still to be. */
let reading = Promise.resolve(), filesComing = 0;

const chosen = make("input", {type: "file", multiple: true, hidden: true});
const chipList = make("ul", {id: "files", ariaLabel: "Files", hidden: true});
const attachButton = button("", () => chosen.click(), {
    id: "attach", ariaLabel: "Attach files", title: "Attach files",
    innerHTML: `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ATTACH}"/></svg>`,
});

/** Show what comes with the next message, and keep it for when the page is loaded anew. */
function drawChips() {
    chipList.replaceChildren(...chips.map((chip) => make("li", {},
        make("span", {textContent: chip.title, title: chip.title, dir: "auto", translate: false}),
        button("×", () => {
            chips = chips.filter((one) => one !== chip);
            drawChips();
            messageBox()?.focus();
        }, {ariaLabel: `Remove ${chip.title}`}),
    )));
    chipList.hidden = !chips.length;
    try {
        const kept = unsaved ? [...sent, ...chips] : chips;
        if (kept.length) session[FILES] = JSON.stringify(kept);
        else delete session[FILES];
    } catch {}  // for which the storage is too full
}

/**
 * Read files, and have them come with the next message.
 * @param {File[]} files
 */
function attachFiles(files) {
    filesComing += files.length;
    return reading = reading.then(attempt(async () => {
        /** @type {unknown[]} */
        const problems = [];  // the others come all the same
        for (const file of files) {
            try {
                await attachFile(file);
            } catch (problem) {
                problems.push(problem);
            }
            filesComing--;
        }
        if (problems.length) throw problems[0];
    }));
}

/** @param {File} file */
async function attachFile(file) {
    if (file.size > LARGEST_IMPORT)
        throw new Problem(`${file.name} is too large: a file may have ${LARGEST_IMPORT / 1e6} MB.`);
    const used = chips.reduce((sum, {tokens}) => sum + tokens, 0);
    say(`Reading ${file.name}…`);
    const chip = await ask("attach", file.name, await base64(file), used);
    chips.push(chip);  // to those that there are by now
    dismiss();
    drawChips();
}

/**
 * Return a message with the files that come with it, which are no longer waiting then.
 * @param {string} message
 */
function takeFiles(message) {
    sent = chips;
    sentAfter = current.branch.rows.length;
    chips = [];
    unsaved = true;
    drawChips();
    return [...sent.map(({block}) => block), ...(message ? [message] : [])].join("\n\n");
}

/**
 * Be told whether the message is there; if not, its files wait for the next one.
 * @param {boolean} there
 */
function keepFiles(there) {
    unsaved = false;
    if (!there) chips = [...sent, ...chips];
    sent = [];
    drawChips();
}

/** Know again which files came with the message that is answered, after the page was loaded anew. */
function recallFiles() {
    const {rows} = current.branch;
    sentAfter = rows.map(([{role}]) => role).lastIndexOf("user");
    sent = filesOf(rows[sentAfter] ?? []);
}

/**
 * Have the files of a message come with the next one.
 * @param {Row} row
 */
function restoreFiles(row) {
    chips = [...filesOf(row), ...chips];
    drawChips();
}

/**
 * Return the files that came with a message.
 * @param {Row} row
 * @returns {Chip[]}
 */
function filesOf(row) {
    const files = row.filter(({role, metadata}) => role === "user" && metadata?.title);
    return files.map(({metadata, content}) => {
        const block = window.plainText(textOf(content));
        return {title: window.plainText(metadata?.title ?? ""), block, tokens: 0};
    });
}

/** Put the list and the button where a message is written, and take what is dropped or pasted. */
function takeAttachments() {
    const box = messageBox();
    const composer = document.getElementById("composer");
    const state = document.getElementById("state");
    if (!box || !composer || !state) return requestAnimationFrame(takeAttachments);
    state.after(chipList);
    composer.append(attachButton, chosen);
    new ResizeObserver(() => {  // what is said stands above it, however much is typed
        saying.style.bottom = `${innerHeight - composer.getBoundingClientRect().top + 8}px`;
    }).observe(composer);
    chosen.onchange = () => {
        attachFiles([...chosen.files ?? []]);
        chosen.value = "";
    };
    document.addEventListener("paste", (event) => {
        if (event.target !== messageBox()) return;
        const files = [...event.clipboardData?.files ?? []];
        const text = event.clipboardData?.getData("text/plain") ?? "";
        if (text ? text.length < LONG : !files.length) return;
        event.preventDefault();
        attachFiles(text ? [new File([text], window.translate("Pasted text"))] : files);
    }, true);
    const page = document.documentElement;
    /** @param {DragEvent} event */
    const brings = (event) => event.dataTransfer?.types.includes("Files");
    page.addEventListener("dragover", (event) => {
        if (!brings(event)) return;
        event.preventDefault();
        composer.classList.add("dropping");
    });
    page.addEventListener("dragleave", ({relatedTarget}) => {
        if (!relatedTarget) composer.classList.remove("dropping");
    });
    page.addEventListener("drop", (event) => {
        composer.classList.remove("dropping");
        if (!brings(event)) return;
        event.preventDefault();
        attachFiles([...event.dataTransfer?.files ?? []]);
    });
    chips = JSON.parse(session[FILES] ?? "[]");
    drawChips();
}
takeAttachments();
