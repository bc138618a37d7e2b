// @ts-check
// What the panel needs of Gradio's page and Gradio does not document
// (chat/web/page/gradio_internals.py has the same of its Python).

/**
 * Call an endpoint that does not wait in Gradio's queue.
 * @param {string} endpoint
 * @param {unknown[]} data
 * @param {AbortSignal} [signal]
 */
function post(endpoint, data, signal) {
    // From where the browser has the page, which the server need not know.
    return fetch(`.${window.gradio_config.api_prefix}/run/${endpoint}`, {
        method: "POST",
        headers: {
            "Content-Type": "application/json",
            "X-Login": encodeURIComponent(window.gradio_config.username ?? ""),
        },
        body: JSON.stringify({data: [data]}),
        signal,
    });
}

/**
 * Open the side bar that the panel is in, or close it.
 * @param {boolean} opened
 */
function openSideBar(opened) {
    const bar = closest(".sidebar");
    if (bar.classList.contains("open") !== opened) find(".toggle-button", bar).click();
}

/**
 * Add what lies above the whole page, with its colours and fonts.
 * @param {HTMLElement} added
 */
const addToPage = (added) => closest(".gradio-container").append(added);

/** What Gradio says when it cannot reach the server. */
const CONNECTION_LOST = "Connection to the server was lost";

/**
 * Do this in place of what Gradio says when it cannot reach the server. It asks for it every two
 * seconds then, and reloads the page once it is there.
 * @param {() => void} action
 */
function whenLost(action) {
    const TOAST = "[data-testid=toast-body]";
    new MutationObserver((changes) => {
        for (const {addedNodes} of changes) for (const added of addedNodes) {
            const around = added instanceof Element ? added : added.parentElement;
            if (around?.closest("#conversation")) continue;  // formulas are thousands of elements
            const toast = /** @type {HTMLElement | null | undefined} */ (
                around?.closest(TOAST) ?? around?.querySelector(TOAST));
            if (!toast || toast.ariaHidden || !toast.textContent?.includes(CONNECTION_LOST)) continue;
            toast.ariaHidden = "true";
            toast.style.setProperty("display", "none", "important");
            action();
        }
    }).observe(closest(".gradio-container"), {subtree: true, childList: true});
}

/**
 * Close the boxes in which messages are edited: Gradio knows a message by its number alone, and
 * would open one in whatever is shown next.
 */
const leaveEditBoxes = () => document.querySelectorAll("#said .edit-textarea").forEach((box) => {
    const bar = box.closest(".message-row")?.nextElementSibling;
    const buttons = bar?.querySelectorAll(".icon-button-wrapper .icon-button") ?? [];
    /** @type {HTMLElement | undefined} */ ([...buttons].at(-1))?.click();  // Cancel
});

// Once Clear has begun they are there no more.
document.addEventListener("click", ({target}) => {
    if (target instanceof Element && target.closest("#said .top-panel > button:first-of-type"))
        leaveEditBoxes();
}, true);

/** What the line under the conversation says. */
const statusLine = () => document.querySelector("#status")?.textContent ?? "";

/** Where a message is written. */
const messageBox = () =>
    /** @type {HTMLTextAreaElement | null} */ (document.querySelector("#message textarea"));

/**
 * Return the element that is there.
 * @param {string} selector
 * @param {ParentNode} parent
 */
const find = (selector, parent = element) =>
    /** @type {HTMLElement} */ (parent.querySelector(selector));

/**
 * Return what is around the panel.
 * @param {string} selector
 */
const closest = (selector) => /** @type {HTMLElement} */ (element.closest(selector));

{
    // With each word of a reply Gradio's own rule for what is beside the side bar (`:has`) looks
    // through the whole conversation for an open one. layout.css makes room for it.
    const beside = closest(".wrap:has(.sidebar)");
    const follow = () => beside.classList.replace("sidebar-parent", "beside-bar");
    new MutationObserver(follow).observe(beside, {attributeFilter: ["class"]});
    follow();
}
