// What lies in the browser: for each conversation one item of localStorage with its sealed
// title, and one with the time when it was saved and its sealed messages. They are items of
// their own, so that two tabs do not overwrite each other's.

const PREFIX = "fourbit-chat:";
const storage = stored("localStorage");
const session = stored("sessionStorage");  // of this tab: what was open when it is reloaded
const names = new Map();  // sealed title -> title, or undefined if the server cannot open it

/** What can go wrong, in a sentence for the person at the page. */
class Problem extends Error {}

/** Return a storage of the browser; without one, conversations last as long as the page. */
function stored(kind) {
    try {
        return window[kind] ?? {};
    } catch {  // not allowed to this page
        return {};
    }
}

const lasts = storage instanceof Storage;
const key = (id, part) => `${PREFIX}${id}:${part}`;
const newId = () => Date.now().toString(36) + Math.random().toString(36).slice(2);

/** Return the saved conversations that can be opened here, the latest first. */
function saved() {
    return Object.keys(storage)
        .filter((item) => item.startsWith(PREFIX) && item.endsWith(":text"))
        .map((item) => {
            const id = item.slice(PREFIX.length, -":text".length);
            const [time, sealed] = storage[item].split(" ");
            const title = storage[key(id, "title")];
            return {id, title, name: names.get(title), text: storage[item], time: Number(time), sealed};
        })
        .filter(({name}) => name !== undefined)
        .sort((one, other) => other.time - one.time || (one.id < other.id ? -1 : 1));
}

/** Save a sealed title, and a time and sealed messages as `text`. */
function write({id, title, text}) {
    try {
        storage[key(id, "title")] = title;
        storage[key(id, "text")] = text;
    } catch {
        if (storage[key(id, "text")] === undefined) remove(id);  // what was there before stays
        throw new Problem(
            "This is not saved, since the browser's storage for this page is full. " +
            "Delete some conversations to make room; export them first if you want to keep them."
        );
    }
}

function remove(id) {
    delete storage[key(id, "text")];
    delete storage[key(id, "title")];
}

/** Find out the titles that other tabs and earlier visits have left. */
async function learnNames() {
    const titles = Object.keys(storage)
        .filter((item) => item.startsWith(PREFIX) && item.endsWith(":title"))
        .map((item) => storage[item])
        .filter((title) => !names.has(title));
    while (titles.length) {
        const some = titles.splice(0, 1000);
        const found = await ask("names", some);
        some.forEach((title, index) => names.set(title, found[index] ?? undefined));
    }
}

/** Ask the server (chat/web/page/panel/saved.py). */
async function ask(question, ...data) {
    const {root, api_prefix} = window.gradio_config;
    let response;
    let answer;
    try {
        response = await fetch(`${root}${api_prefix}/run/saved_${question}`, {
            method: "POST",
            headers: {"Content-Type": "application/json"},
            body: JSON.stringify({data: [data]}),
        });
        if (response.status !== 413) answer = await response.json();
    } catch {
        throw new Problem("The server cannot be reached. Please reload the page.");
    }
    if (response.status === 413) throw new Problem("This conversation is too long.");
    if (!response.ok)
        throw new Problem(answer.error ?? "The server did not answer. Please reload the page.");
    return answer.data[0];
}
