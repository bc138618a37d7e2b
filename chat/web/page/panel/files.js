// @ts-check
// Conversations as files (chat/core/transcript.py). Each goes to the server by itself, since a
// request has a limit of size.

/**
 * Offer the conversations that are wanted as a file.
 * @param {(conversation: Saved) => boolean} wanted
 * @param {string} name
 */
async function download(wanted, name) {
    await untilSaved();
    const files = [];
    for (const {title, sealed, time} of savedConversations().filter(wanted))
        files.push(await ask("export", title, sealed, new Date(time).toISOString()));
    const whole = {...files[0], conversations: files.flatMap((file) => file.conversations)};
    const content = new Blob([JSON.stringify(whole, null, 2) + "\n"], {type: "application/json"});
    const link = make("a", {href: URL.createObjectURL(content), download: `${name}.json`});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Return what a file may be called after a conversation.
 * @param {string} name
 */
const fileName = (name) => name.replace(/[^\p{L}\p{N}\p{M} _-]/gu, "").trim() || "conversation";

/**
 * Save the conversations in a file, all or none.
 * @param {File} file
 */
async function upload(file) {
    const found = await sealedFrom(file);
    if (!found.length) throw new Problem("This file holds no conversations.");
    const first = newId(), now = Date.now();  // the same for all, whose order is that of the file
    /** @type {string[]} */
    const made = [];
    try {
        found.forEach(({title, text, name, saved}, index) => {
            // No time that an export could not name again, as a year before the first.
            const time = Math.max(0, Math.min(Math.round(saved ?? Infinity), now));
            const id = first + String(index).padStart(6, "0");  // in the order of the file
            names.set(title, name);
            write({id, title, text: `${time} ${text}`});
            made.push(id);
        });
    } catch (problem) {
        made.forEach(remove);
        throw problem;
    }
    draw();
    say(found.length === 1 ? `Imported “${found[0].name}”.` : `Imported ${found.length} conversations.`);
}

/**
 * Return the conversations in a file, as the server sealed them.
 * @param {File} file
 * @returns {Promise<{title: string, text: string, name: string, saved: number | null}[]>}
 */
async function sealedFrom(file) {
    let content;
    try {
        content = JSON.parse(await file.text());
    } catch {
        throw new Problem("This file is not JSON, so it holds no conversations.");
    }
    if (!Array.isArray(content?.conversations)) return ask("import", content);
    const found = [];
    for (const one of content.conversations)
        found.push(...await ask("import", {...content, conversations: [one]}));
    return found;
}
