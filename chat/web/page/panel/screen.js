// @ts-check
// The conversation on the screen: which one it is, when it is saved, and when it may change.

/**
 * @typedef {object} OnScreen
 * @property {string} id
 * @property {string} [title] as the server sealed it, if it was saved
 * @property {string} [text] the item of the storage, as this tab left it
 * @property {string} [system] its system prompt, if it comes with one
 * @property {boolean} [untitled] whether it is called by its first words, as yet
 * @property {boolean} [unanswered] whether its last message has no reply
 * @property {string} [reply] the token of the reply that is being written to it
 * @property {string} seen what was said when it was saved
 * @property {Branch} branch what is on the screen, and its other versions
 * @property {number} ways how many of those there were when it was saved
 * @property {boolean} [editing] whether its last message is where one is written, to be edited
 * @property {number} [edited] which of its versions that was
 * @property {boolean} changed whether somebody has gone on with it here
 * @property {number} turn counts its states, of which the last is to be saved
 */

/** @type {OnScreen} */
let current = newConversation();
/**
 * The messages that are to be shown next.
 * @type {Message[] | undefined}
 */
let coming;
/** The system prompt that the settings were given, and the one that somebody has typed there. */
let brought = SYSTEM_PROMPT, own = SYSTEM_PROMPT;
/**
 * In which conversation that was.
 * @type {string | undefined}
 */
let typedIn;
/** Whether a reply is being written; and in which conversation one is about to settle. */
let running = false, settling = current;
/**
 * When Stop was clicked, if the failure that this is to Gradio has not come yet; and if a turn has
 * begun since. Milliseconds that may take.
 */
let stopped = 0, begunAfter = 0;
const PATIENCE = 10_000;
/** Whether the page has not yet opened what was on the screen before it was loaded anew. */
let beginning = true;
/** Counts what is to be put on the screen: what comes late is not any more. */
let wanted = 0;
/** How many events of the page are about to change the screen. */
let changing = 0;
/** Whether what is shown next is to be saved then. */
let rearranged = false;
/** Milliseconds until what could not be saved is tried again, and what is said meanwhile. */
const AGAIN = 5000;
const UNSAVED = "This is not saved yet, since the server cannot be reached. It is tried again.";
/**
 * Saves what the storage had no room for, by the conversations.
 * @type {Map<OnScreen, () => Promise<void>>}
 */
const roomless = new Map();
/**
 * That the last change is saved.
 * @type {Promise<void> | undefined}
 */
let saving;

/** @returns {OnScreen} */
function newConversation() {
    const empty = {seen: textsOf([]), branch: emptyBranch(), ways: 0};
    return {id: newId(), ...empty, untitled: TITLES, changed: true, turn: 0};
}

/**
 * Return the text in a message's content.
 * @param {Message["content"]} content
 */
function textOf(content) {
    return typeof content === "string" ? content : content.map((part) => part.text).join("");
}

/**
 * Return what is said in a history, to compare it.
 * @param {Message[]} history
 */
function textsOf(history) {
    return JSON.stringify(history.map(({role, content}) => [role, textOf(content)]));
}

/** Wait until what is under way has changed the screen and is saved, unless it is a reply. */
async function untilSaved() {
    let saved;
    do {
        if (changing && !running) await new Promise((resolve) => setTimeout(resolve, 20));
        await (saved = saving);
    } while (saved !== saving || (changing && !running));  // as it may have changed meanwhile
}

/** Wait until nothing changes the screen any more. */
async function untilQuiet() {
    await untilSaved();
    if (running) throw new Problem("A reply is being written. Stop it first, or wait for it.");
}

/** The last of what changes the screen. */
let last = Promise.resolve();

/**
 * Do what changes the screen once nothing else does, one after another: of two quick clicks the
 * second finds what the first has left.
 * @param {() => unknown} action
 */
function inTurn(action) {
    const done = last.then(untilQuiet).then(action);
    last = done.then(() => {}, () => {});
    return done;
}

/**
 * Put a conversation on the screen, at once.
 * @param {OnScreen} conversation
 * @param {Message[]} messages
 */
function show(conversation, messages) {
    leaveEditBoxes();
    current = conversation;
    coming = messages;
    trigger("show");
    session[PREFIX + "open"] = current.id;
    if (!hasRoom()) openSideBar(false);
    if (!offered()) dismiss();
    draw();
}

/**
 * Show the branch that the conversation on the screen takes by now, and save it.
 * @param {string} [title] as the server sealed it
 */
function rearrange(title = current.title) {
    const {branch} = current;
    Object.assign(current, {title, unanswered: false, editing: false, changed: true});
    changing++;
    rearranged = true;
    show(current, branch.rows.flat());
}

/**
 * Show a saved conversation.
 * @param {Pick<Saved, "id" | "title" | "text" | "sealed">} conversation
 */
async function openSaved({id, title, text, sealed}) {
    const mine = ++wanted;
    await untilQuiet();
    /** @type {SavedBranch} */
    const saved = await ask("open", sealed);
    const prompt = saved.messages[0].role === "system" && saved.messages.shift();
    const system = prompt ? String(prompt.content) : SYSTEM_PROMPT;
    const token = storage[itemName(id, "reply")];
    const reply = token && await ask("running", token) ? token : undefined;
    await untilQuiet();
    if (mine !== wanted) return;
    const branch = unpacked(saved), ways = waysIn(saved);
    const last = branch.rows.at(-1)?.[0].role;
    if (!reply && last === "user") takeBack(branch);  // what was to come in its place never did
    const messages = branch.rows.flat();
    const unanswered = messages.at(-1)?.role === "user";
    const seen = textsOf(messages);
    const opened = {id, title, text, system, unanswered, reply, seen, branch, ways};
    show({...opened, changed: false, turn: 0}, messages);
    if (reply) trigger("come_back");
    else writeReply(id);
}

/** Leave the conversation on the screen for an empty one. */
async function openNew() {
    wanted++;
    await untilQuiet();
    // So that the page gives the cursor to its text box.
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    show(newConversation(), []);
}

/**
 * Have the server seal a conversation; without other versions, if with them it is too long.
 * @param {OnScreen} mine
 * @param {string | null | undefined} prompt
 */
async function seal(mine, prompt) {
    try {
        return await ask("seal", packed(mine.branch), prompt);
    } catch (problem) {
        if (!mine.branch.forks.size || !(problem instanceof Refused)) throw problem;
        const alone = await ask("seal", packed({...mine.branch, forks: new Map()}), prompt);
        say("Only the version on the screen is saved: with the others it would be too long.");
        return alone;
    }
}

/**
 * Save what is on the screen.
 * @param {Message[]} history
 * @param {string} [system]
 * @param {Made} [made] how the reply at its end was made
 */
async function save(history, system, made) {
    const seen = textsOf(history);
    if (current.changed) bringTo(current.branch, history, running);
    const last = current.branch.rows.at(-1);
    if (made && last) last.made = made;
    if (seen === current.seen) {
        current.turn++;  // drops what is about to be saved and is not on the screen any more
        return;
    }
    // What nobody has gone on with has not changed, so this is something else.
    if (!current.changed) {
        current = newConversation();
        bringTo(current.branch, history, running);
    }
    await keep(current, seen, system);
}

/**
 * Save a conversation, which another one may take the place of meanwhile; and again and again, as
 * long as the server cannot be reached and there is no later state of it. What there is no room for
 * is tried again when another one is deleted.
 * @param {OnScreen} mine
 * @param {string} seen what is said in it
 * @param {string} [system]
 */
async function keep(mine, seen, system) {
    const turn = ++mine.turn;
    try {
        await keepState(mine, turn, seen, system);
    } catch (problem) {
        if (turn !== mine.turn) return;
        const again = attempt(async () => {
            if (turn !== mine.turn) return;
            await keep(mine, seen, system);
            noteReply(mine);
            if (mine === current && running) forgetSent();
        });
        if (problem instanceof Full) roomless.set(mine, again);
        if (!(problem instanceof Unreachable)) throw problem;
        setTimeout(() => {
            if (turn === mine.turn) saving = again();
        }, AGAIN);
        throw new Unreachable(UNSAVED);
    }
    roomless.delete(mine);
    unsay(UNSAVED);
}

/**
 * Save one state of a conversation, unless there is a later one by then.
 * @param {OnScreen} mine
 * @param {number} turn
 * @param {string} seen what is said in it
 * @param {string} [system]
 */
async function keepState(mine, turn, seen, system) {
    const prompt = system === SYSTEM_PROMPT ? null : system;
    /** @type {{name: string, title: string, text: string} | null} */
    const sealed = await seal(mine, prompt);
    if (turn !== mine.turn) return;  // there is a later state by now, or it was deleted
    const renamed = storage[itemName(mine.id, "title")] ?? mine.title;
    for (let there; (there = storage[itemName(mine.id, "text")]) !== mine.text;) {
        const other = there && await saidIn(there);  // by another tab
        if (turn !== mine.turn) return;
        if (other && begins(seen, other.said)) {  // which has all of this, and may have gone on
            if (seen === other.said) mine.text = there;
            mine.seen = seen;
            return;
        }
        const known = other && other.ways <= mine.ways;
        if (known && begins(other.said, mine.seen)) mine.text = there;
        else {  // so this becomes a copy
            const id = newId();
            if (typedIn === mine.id) keepSystem({system: own, id: typedIn = id});
            Object.assign(mine, {id, text: undefined});
        }
    }
    if (sealed) {
        const title = renamed ?? sealed.title;
        const text = `${Date.now()} ${sealed.text}`;
        names.set(sealed.title, sealed.name);
        write({id: mine.id, title, text});
        Object.assign(mine, {title, text, seen, ways: waysIn(packed(mine.branch))});
        mine.system = system ?? mine.system;
        if (typedIn === mine.id && own === system) {  // it is the conversation's own now
            typedIn = undefined;
            keepSystem({system: own, id: ""});
        }
    } else if (!mine.branch.forks.size) {  // else what is saved has all that there is
        remove(mine.id);
        Object.assign(mine, {title: undefined, text: undefined, seen});
    }
    if (mine === current) session[PREFIX + "open"] = current.id;
    draw();
}

/**
 * Have the model give the conversation on the screen a title, unless it has one or is too short.
 */
async function giveTitle() {
    await saving;
    const {id, title, branch, untitled} = current, mine = current;
    if (!untitled || !title || branch.rows.length < 2 || running) return;
    /** @type {{name: string, title: string} | null} */
    const given = await ask("title", branch.rows.slice(0, 2).flat());
    const text = storage[itemName(id, "text")];
    // Somebody may have renamed or deleted it.
    if (storage[itemName(id, "title")] !== title) mine.untitled = false;
    if (!given || !text || !mine.untitled) return;
    names.set(given.title, given.name);
    write({id, title: given.title, text});
    Object.assign(mine, {title: given.title, untitled: false});
    draw();
}

/** Seconds between two looks at a reply that does not seem to grow. */
const LOOK = 5;
/** What the line under the conversation said when it was last looked at, and looks that it missed. */
let lastLine = "";
let missed = 0;

/**
 * Load the page anew if the server says something else of the reply than the screen, look after
 * look: a connection can go without anybody noticing, as when a phone sleeps.
 */
async function watchReply() {
    const line = statusLine();
    if (!running || !current.reply || line !== lastLine) missed = 0;
    else {
        const answer = askFor(AbortSignal.timeout(LOOK * 1000), "running", current.reply);
        /** @param {string} text without what Markdown does to it */
        const plain = (text) => text.replace(/[^\p{L}\p{N}]/gu, "");
        const there = await answer.catch(() => line);
        missed = plain(window.translate(there)) === plain(statusLine()) ? 0 : missed + 1;
    }
    if (missed > 1) location.reload();
    lastLine = line;
    setTimeout(watchReply, LOOK * 1000);
}

/**
 * Return what is said in an item of the storage, and how many versions it has, unless it was sealed
 * with another key meanwhile.
 * @param {string} text
 */
async function saidIn(text) {
    try {
        /** @type {SavedBranch} */
        const saved = await ask("open", text.split(" ")[1]);
        const said = textsOf(saved.messages.filter(({role}) => role !== "system"));
        return {said, ways: waysIn(saved)};
    } catch {}
}

/**
 * Return whether all that is said in one history is said at the beginning of another.
 * @param {string} one
 * @param {string} other
 */
const begins = (one, other) => other.startsWith(one.slice(0, -1));

/**
 * Save what is on the screen, and the token of the reply that is being written to it.
 * @param {Message[]} history
 * @param {string} [system]
 * @param {string} [reply]
 * @param {Made} [made]
 */
async function saveAll(history, system, reply, made) {
    const saved = save(history, system, made);
    const mine = current;
    mine.reply = reply;
    await saved;
    noteReply(mine);
}

/** Have somebody go on here, by an event of the page that is about to change the screen. */
function goOn() {
    current.changed = true;
    changing++;
}

/** What was sent is saved: what is typed next, and comes with it, is all that is kept. */
function forgetSent() {
    keepTyped();
    unsaved = false;
    drawChips();
}

/**
 * Keep the token of the reply that is being written to a conversation, once that is saved.
 * @param {OnScreen} mine
 */
function noteReply(mine) {
    // It may be over by now; and where another tab went on, another one is being written.
    if (mine.text && mine.text === storage[itemName(mine.id, "text")])
        writeReply(mine.id, mine.reply);
}

/**
 * Take a conversation out of the list, and offer it back.
 * @param {string} id
 */
function discard(id) {
    const gone = savedConversations().find((conversation) => conversation.id === id);
    if (!gone) return;
    remove(id);
    draw();
    const restore = async () => {
        try {
            write(gone);
        } catch (problem) {
            if (!(problem instanceof Full)) throw problem;
            return say(problem.message, "Restore", restore);  // something else may be deleted first
        }
        pin(id, gone.pinned);
        draw();
        await openSaved(gone);
    };
    say(`Deleted “${gone.name}”.`, "Restore", restore);
    if (roomless.size) saving = saveRoomless();
}

/** Try again to save what the storage had no room for. */
async function saveRoomless() {
    const waiting = [...roomless.values()];
    roomless.clear();
    for (const again of waiting) await again();
}

// What the page's events do before they change the screen, and after (chat/web/page/page.py).
window.conversations = {
    shown: () => coming,
    about: () => current.reply ? "Connecting again…" : [
        // The tab was closed, or the server ended, while it was written.
        current.unanswered &&
            "The reply to the last message was lost. Edit the message to send it again.",
        current.system && current.system !== SYSTEM_PROMPT &&
            "This conversation has its own system prompt, which is in the settings.",
    ].filter(Boolean).join("\n"),
    system(set) {
        if (set !== brought) own = set;  // as typed just now
        return brought = typedIn === current.id ? own : current.system ?? own;
    },
    typed(system) {
        if (system === brought) return;
        own = brought = system;
        typedIn = current.id;
        keepSystem({system, id: current.id});
    },
    begin() {
        dismiss();
        focusTool = undefined;
        leaveEditing();
        window.toEnd?.();
        running = true;
        begunAfter = stopped;
        goOn();
    },
    edit(history) {
        // Until it is saved it is what was typed, for when the server cannot be reached.
        const rows = rowsOf(history), was = current.branch.rows;
        const edited = rows.find((row, at) => saysOf([row]) !== saysOf(was.slice(at, at + 1)));
        const texts = [messageBox()?.value, edited && textOf(edited[0].content)];
        try {
            session[DRAFT] = texts.filter(Boolean).join("\n\n");
        } catch {}  // for which the storage is too full
        this.begin();
    },
    send(message) {
        current.editing = false;  // it takes the place of what was edited
        this.begin();
        return takeFiles(message);
    },
    undo() {
        leaveEditBoxes();
        goOn();
    },
    undone(history, system) {
        const {branch, editing} = current;
        if (history && !editing) restoreFiles(branch.rows[rowsOf(history).length] ?? []);
        // Who has begun to edit a message undoes that, and what is in the box stays there.
        if (history && editing) typeMessage(session[DRAFT] ?? "");
        const saved = this.changed(editing ? undefined : history, system);
        if (history && editing) {
            leaveEditing();
            rearrange();
        } else if (history && !branch.rows.length && branch.forks.has(0)) {
            takeBack(branch);
            rearrange();
        }
        keepTyped();
        return saved;
    },
    come_back() {
        this.begin();
        recallFiles();
        return current.reply;
    },
    begun(history, system, token) {
        running &&= Boolean(history);
        // What could not be gone on with is there all the same.
        if (!history) keepFiles(Boolean(current.reply));
        if (!history && current.reply) {
            Object.assign(current, {reply: undefined, unanswered: true});
            show(current, current.branch.rows.flat());
        }
        const saved = this.changed(history, system, running ? token : undefined);
        const mine = current, seen = history && textsOf(history);
        saved?.then(() => {
            if (mine.seen === seen) forgetSent();  // else the message would lie nowhere
        });
        return saved;
    },
    stop() {
        if (!running) return;
        stopped = Date.now();
        begunAfter = 0;  // the next failure is that of this one
    },
    settle(ended, said, live, typed, told) {
        changing++;
        // After Stop there is a failure, and a success before it where the server was quick.
        const late = ended === "failure" && Date.now() - begunAfter < PATIENCE;
        if (ended === "failure") stopped = begunAfter = 0;
        if (late) return [[], [], "", LATE];
        running = false;
        settling = current;
        // The server has it, and a request has a limit.
        const short = new Blob([JSON.stringify([said, live, typed])]).size < LARGEST_SETTLE;
        return short ? [said, live, typed, told] : [[], live, typed, UNSENT];
    },
    clear(live, system) {
        const mine = current, {rows} = mine.branch;
        // What has come of a reply is to be there again after Restore.
        const replied = live.filter(({role}) => role === "assistant");
        const said = rows.at(-1)?.[0].role === "assistant" ? rows.slice(0, -1) : rows;
        // What is there may not be saved yet.
        const there = replied.length ? [...said.flat(), ...replied] : running ? [] : rows.flat();
        const saved = there.length && textsOf(there) !== mine.seen ? save(there, system) : undefined;
        this.stop();
        wanted++;
        keepFiles(true);
        if (!saved) mine.turn++;  // drops what is about to be saved
        current = newConversation();
        if (saved) saved.catch(() => {}).then(() => discard(mine.id));
        else discard(mine.id);
        goOn();
    },
    settled(history, system, made) {
        if (made && !made.startsWith("{")) {  // it was the end of the turn before this one
            changing--;
            return;
        }
        if (settling !== current) {  // it was cleared meanwhile
            changing--;
            keepTyped();
            if (!running) show(current, current.branch.rows.flat());
            return;
        }
        if (history) keepFiles(rowsOf(history).length > sentAfter);
        const saved = this.changed(history, system, undefined, made ? JSON.parse(made) : undefined);
        if (made) giveTitle().catch(() => {});  // nobody has asked for it
        keepTyped();
        return saved;
    },
    changed(history, system, reply, made) {
        changing--;
        if (!history) return;
        saving = attempt(saveAll)(history, system, reply, made);
        drawTools();
        drawWindow();
        return saving;
    },
    showed(history, system) {
        drawTools();
        drawWindow();
        if (!rearranged) return;
        rearranged = false;
        return this.changed(history, system);
    },
};
