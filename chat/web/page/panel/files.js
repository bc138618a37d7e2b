// @ts-check
// Conversations as files (chat/core/export.py, chat/core/imports, chat/core/markdown.py). For an
// export each goes to the server by itself, since a request has a limit of size.

/**
 * @typedef {object} Imported A conversation that is to be saved.
 * @property {string} title as the server sealed it
 * @property {string} name the title itself
 * @property {string} text its messages as the server sealed them
 * @property {number | null} saved when, in milliseconds
 */

/**
 * Offer the conversations that are wanted as a file, which can be imported again.
 * @param {(conversation: Saved) => boolean} wanted
 * @param {string} name
 */
async function download(wanted, name) {
    await untilSaved();
    const files = [];
    for (const {title, sealed, time} of savedConversations().filter(wanted))
        files.push(await ask("export", title, sealed, new Date(time).toISOString()));
    const whole = {...files[0], conversations: files.flatMap((file) => file.conversations)};
    offerFile(JSON.stringify(whole, null, 2) + "\n", "application/json", `${name}.json`);
}

/**
 * Offer a conversation as Markdown, to read.
 * @param {string} id
 */
async function downloadMarkdown(id) {
    await untilSaved();
    for (const {title, sealed, name} of savedConversations().filter((one) => one.id === id))
        offerFile(await ask("markdown", title, sealed), "text/markdown", `${fileName(name)}.md`);
}

/**
 * Have the browser save a file.
 * @param {string} text
 * @param {string} type
 * @param {string} name
 */
function offerFile(text, type, name) {
    const link = make("a", {href: URL.createObjectURL(new Blob([text], {type})), download: name});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Return what a file may be called after a conversation, on every system.
 * @param {string} name
 */
function fileName(name) {
    const plain = name.replace(/[^\p{L}\p{N}\p{M}\u200c\u200d.,()_'-]+/gu, " ");
    return [...plain].slice(0, 80).join("").replace(/^[. ]+|[. ]+$/g, "") || "conversation";
}

/**
 * Save the conversations in files, whoever wrote them: all that the server can take, or none.
 * @param {File[]} files
 */
async function upload(files) {
    if (files.reduce((size, file) => size + file.size, 0) > LARGEST_IMPORT)
        throw new Problem(
            `${files.length > 1 ? "These files are" : "This file is"} too large to be imported: ` +
            `at once there may be ${LARGEST_IMPORT / 1e6} MB.`
        );
    say("Importing…");
    const given = await Promise.all(files.map(async (file) => [file.name, await base64(file)]));
    /** @type {{conversations: Imported[], sentence: string}} */
    const {conversations, sentence} = await ask("import", given);
    const first = newId(), now = Date.now();  // the same for all, whose order is that of the file
    /** @type {string[]} */
    const made = [];
    try {
        conversations.forEach(({title, text, name, saved}, index) => {
            // No time that an export could not name again, as a year before the first.
            const time = Math.max(0, Math.min(Math.round(saved ?? Infinity), now));
            const id = first + String(index).padStart(6, "0");  // in the order of the file
            names.set(title, name);
            write({id, title, text: `${time} ${text}`});
            made.push(id);
        });
    } catch (problem) {
        made.forEach(remove);
        const several = conversations.length > 1 && problem instanceof Problem;
        throw !several ? problem : new Problem(
            "Nothing was imported, since the browser's storage for this page is full: there is room " +
            `for ${made.length} of these ${conversations.length} conversations.`
        );
    }
    draw();
    const [only, ...others] = savedConversations().filter(({id}) => made.includes(id));
    if (only && !others.length) say(sentence, "Open", () => openSaved(only));
    else say(sentence);
}

/**
 * Return the bytes of a file in base 64.
 * @param {File} file
 * @returns {Promise<string>}
 */
function base64(file) {
    const reader = new FileReader();
    return new Promise((resolve, reject) => {
        reader.onload = () => resolve(String(reader.result).replace(/^.*,/, ""));
        reader.onerror = () => reject(new Problem(`${file.name} cannot be read.`));
        reader.readAsDataURL(file);
    });
}
