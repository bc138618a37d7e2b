// @ts-check
// What lies in the browser: for each conversation one item of localStorage with its sealed
// title, one with the time when it was saved and its sealed messages, one with the token of the
// reply that is being written to it, if one is, and one if it is pinned. They are items of their
// own, so that two tabs do not overwrite each other's.

/**
 * @typedef {object} Saved A conversation in the storage.
 * @property {string} id
 * @property {string} title as the server sealed it
 * @property {string} name the title itself
 * @property {string} text the item with its messages: `time sealed`
 * @property {number} time when it was saved, in milliseconds
 * @property {string} sealed its messages as the server sealed them
 * @property {boolean} pinned whether it stays at the top of the list
 */

const PREFIX = "fourbit-chat:";
const storage = browserStorage("localStorage");
const session = browserStorage("sessionStorage");  // of this tab: what is open when it is reloaded
/** Where what is not sent yet lies: whoever else logs in within this tab has their own. */
const [DRAFT, FILES, SYSTEM] = ["draft", "files", "system"].map((part) =>
    [PREFIX + part, window.gradio_config.username].filter(Boolean).join(":"));

/**
 * By sealed titles; undefined is what the server cannot open.
 * @type {Map<string, string | undefined>}
 */
const names = new Map();

/** What can go wrong, in a sentence for the person at the page. */
class Problem extends Error {}
/** What the server does not take, and would not the next time. */
class Refused extends Problem {}
/** That the browser has no room for it. */
class Full extends Problem {}
/** That there was no answer, which may come the next time. */
class Unreachable extends Problem {}

/**
 * Return a storage of the browser; without one, conversations last as long as the page.
 * @param {"localStorage" | "sessionStorage"} kind
 * @returns {Record<string, string>}
 */
function browserStorage(kind) {
    try {
        return window[kind] ?? {};
    } catch {  // not allowed to this page
        return {};
    }
}

const lasts = storage instanceof Storage;

/**
 * Return what an item of the storage is called.
 * @param {string} id
 * @param {"title" | "text" | "reply" | "pin"} part
 */
const itemName = (id, part) => `${PREFIX}${id}:${part}`;

const newId = () => Date.now().toString(36) + Math.random().toString(36).slice(2);

/**
 * Return the saved conversations that can be opened here, the latest first.
 * @returns {Saved[]}
 */
function savedConversations() {
    return Object.keys(storage)
        .filter((item) => item.startsWith(PREFIX) && item.endsWith(":text"))
        .flatMap((item) => {
            const id = item.slice(PREFIX.length, -":text".length);
            const [time, sealed] = storage[item].split(" ");
            const title = storage[itemName(id, "title")];
            const name = names.get(title);
            if (name === undefined) return [];
            const pinned = itemName(id, "pin") in storage;
            return [{id, title, name, text: storage[item], time: Number(time), sealed, pinned}];
        })
        .sort((one, other) => other.time - one.time || (one.id < other.id ? -1 : 1));
}

/**
 * Save a sealed title, and a time and sealed messages as `text`.
 * @param {{id: string, title: string, text: string}} conversation
 */
function write({id, title, text}) {
    try {
        storage[itemName(id, "title")] = title;
        storage[itemName(id, "text")] = text;
    } catch {
        // What was there before stays.
        if (storage[itemName(id, "text")] === undefined) remove(id);
        throw new Full(
            "This is not saved, since the browser's storage for this page is full. " +
            "Delete some conversations to make room; export them first if you want to keep them."
        );
    }
}

/** @param {string} id */
function remove(id) {
    delete storage[itemName(id, "text")];
    delete storage[itemName(id, "title")];
    delete storage[itemName(id, "reply")];
    delete storage[itemName(id, "pin")];
}

/**
 * Have a conversation stay at the top of the list, or no longer.
 * @param {string} id
 * @param {boolean} pinned
 */
function pin(id, pinned) {
    try {
        if (pinned) storage[itemName(id, "pin")] = "1";
        else delete storage[itemName(id, "pin")];
    } catch {
        throw new Problem(
            "This is not pinned, since the browser's storage for this page is full. " +
            "Delete some conversations to make room."
        );
    }
}

/**
 * Keep the token of the reply that is being written to a conversation, if one is.
 * @param {string} id
 * @param {string} [reply]
 */
function writeReply(id, reply) {
    try {
        if (reply) storage[itemName(id, "reply")] = reply;
        else delete storage[itemName(id, "reply")];
    } catch {}  // for which the storage is too full
}

/** Find out the titles that other tabs and earlier visits have left. */
async function learnNames() {
    const titles = Object.keys(storage)
        .filter((item) => item.startsWith(PREFIX) && item.endsWith(":title"))
        .map((item) => storage[item])
        .filter((title) => !names.has(title));
    while (titles.length) {
        const some = titles.splice(0, MOST_CONVERSATIONS);
        /** @type {(string | null)[]} */
        const found = await ask("names", some);
        some.forEach((title, index) => names.set(title, found[index] ?? undefined));
    }
}

/**
 * Ask the server (chat/web/page/panel/saved.py).
 * @param {keyof typeof ENDPOINTS} question
 * @param {unknown[]} data
 */
async function ask(question, ...data) {
    return askFor(undefined, question, ...data);
}

/**
 * The same, for as long as is wanted.
 * @param {AbortSignal | undefined} signal
 * @param {keyof typeof ENDPOINTS} question
 * @param {unknown[]} data
 */
async function askFor(signal, question, ...data) {
    let response;
    let answer;
    try {
        response = await post(ENDPOINTS[question], data, signal);
        if (response.status !== 413) answer = await response.json();
    } catch {
        throw new Unreachable("The server cannot be reached. Please reload the page.");
    }
    if (response.status === 413)
        throw new Refused(
            question === "import" || question === "attach"
                ? "This is too large for the server, or for a proxy in front of it."
                : "This conversation is too long."
        );
    if (response.status === 400 && answer.error) throw new Refused(answer.error);
    if (!response.ok) {
        const Kind = response.status >= 500 ? Unreachable : Problem;
        throw new Kind(answer.error ?? "The server did not answer. Please reload the page.");
    }
    return answer.data[0];
}
