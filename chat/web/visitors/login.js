// @ts-check
// Says why a login has to wait (login.py), of which Gradio's page says nothing.
{
    const fetched = window.fetch;
    window.fetch = async (...asked) => {
        const answer = await fetched(...asked);
        if (answer.status === 429 && new URL(answer.url).pathname.endsWith("/login")) {
            const told = await answer.clone().json().catch(() => ({}));
            alert(told.detail ?? "Please try again later.");
        }
        return answer;
    };
}
