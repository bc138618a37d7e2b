// What is seen of it: the list, its buttons, and a sentence above everything.

const list = element.querySelector("ul");
const hint = element.querySelector(".hint");
const picker = element.querySelector("input");
const saying = make("div", {id: "saying", role: "status"});

function make(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
}

function button(text, action, properties) {
    return make("button", {textContent: text, onclick: attempt(action), ...properties});
}

/** Return `action` with its problems said. */
function attempt(action) {
    return async (...values) => {
        try {
            return await action(...values);
        } catch (error) {
            if (!(error instanceof Problem)) console.error(error);
            say(error instanceof Problem ? error.message : "That did not work. Please try again.");
        }
    };
}

/** Say a sentence, until the next one, and offer what can be done about it. */
function say(sentence, offer, action) {
    hush();
    saying.append(make("span", {textContent: sentence}));
    if (offer) saying.append(button(offer, () => (hush(), action()), {className: "offer"}));
    saying.append(button("×", hush, {ariaLabel: "Close"}));
}

const hush = () => saying.replaceChildren();
const offered = () => saying.querySelector(".offer") !== null;

/** Return whether the side bar leaves room for the conversation. */
const hasRoom = () => matchMedia("(min-width: 1024px)").matches;

function unfold(opened) {
    const bar = element.closest(".sidebar");
    if (bar.classList.contains("open") !== opened) bar.querySelector(".toggle-button").click();
}

function draw() {
    const focused = list.contains(document.activeElement) && document.activeElement;
    if (focused && focused.matches("input")) return;  // a title is being typed
    const all = saved();
    list.replaceChildren(...all.map(row));
    hint.hidden = all.length > 0 && lasts;
    element.querySelector("[value=export]").disabled = !all.length;
    if (focused)
        [...list.querySelectorAll("button")]
            .find((made) => made.textContent === focused.textContent)?.focus();
}

function row(conversation) {
    const {id, name} = conversation;
    const title = button(name, () => read(conversation), {title: name, dir: "auto"});
    if (id !== open.id) return make("li", {}, title);
    title.ariaCurrent = "true";
    return make("li", {className: "open"}, title, make("div", {},
        button("Rename", () => rename(conversation, title)),
        button("Export", () => download((one) => one.id === id, fileName(name))),
        button("Delete", () => leave().then(() => discard(id))),
    ));
}

/** Let the title be typed in its place: Enter or leaving it saves, Escape does not. */
function rename({id, name}, title) {
    const field = make("input", {value: name, maxLength: 200, ariaLabel: "Title", dir: "auto"});
    field.onblur = attempt(async () => {
        const typed = field.value.trim();
        field.onblur = null;
        field.remove();
        if (typed && typed !== name) {
            const renamed = await ask("rename", typed);
            names.set(renamed.title, renamed.name);
            const text = storage[key(id, "text")];
            if (text) write({id, title: renamed.title, text});  // unless it was deleted meanwhile
        }
        draw();
        if (document.activeElement === document.body) list.querySelector("[aria-current]")?.focus();
    });
    field.onkeydown = ({key, isComposing}) => {
        if (isComposing) return;  // Enter chooses a character, as in Chinese and Japanese
        if (key === "Escape") field.value = name;
        if (key === "Escape" || key === "Enter") field.blur();
    };
    title.replaceWith(field);
    field.select();
}

function on(name, action) {
    element.querySelector(`[value=${name}]`).onclick = attempt(action);
}

on("new", leave);
on("import", () => picker.click());
on("export", () => download(() => true, `fourbit-chat ${new Date().toISOString().slice(0, 10)}`));
picker.onchange = attempt(async () => {
    const [file] = picker.files;
    picker.value = "";
    if (file) await upload(file);
});
element.closest(".gradio-container").append(saying);
if (!lasts)
    hint.textContent =
        "This browser lets the page save nothing. Conversations last until the page is closed; " +
        "export those that you want to keep.";
if (hasRoom()) unfold(true);
window.addEventListener("storage", attempt(() => learnNames().then(draw)));
attempt(async () => {
    await learnNames();
    draw();
    const last = saved().find(({id}) => id === session[PREFIX + "open"]);
    if (last && !running) await read(last);
})();
