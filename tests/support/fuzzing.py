"""What `st run` checks beside what it brings; schemathesis.toml names this file."""

import re

import schemathesis

#: What can be wrong with a request whose fields are all as they are described: how they go
#: together, what nobody says, and how much there is room for.
TOGETHER = re.compile(
    r"says something else than|only one can be set|must be at most Max new tokens"
    r"|cannot be continued|continue_final_message must be true|Please write a message first"
    r"|ask for \d+ replies|Top logprobs come with|of what is written|is no token here"
    r"|holds the whole reply|calls tools; send what|and there are no tools|is not in tools"
    r"|where that is its type|must have a type|must be the [a-z]+'s if|which is not offered"
    r"|must be the id of one of"
    r"|has two functions|is no token of this model|has a control character in it"
    r"|the limit is [\d,]+"
)
#: Fields in a language of their own, which JSON Schema cannot describe.
WRITTEN = {"regex", "guided_regex", "json_schema", "guided_json", "response_format", "text.format"}
TITLES = ("Regular expression ", "JSON schema ")


@schemathesis.check
def what_is_described_is_answered(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    described = case.meta is not None and case.meta.generation.mode.is_positive
    if described and response.status_code == 400:
        error = response.json()["error"]
        unsaid = error.get("param") in WRITTEN or TOGETHER.search(error["message"])
        # Anthropic's errors name no field but in the sentence.
        unsaid = unsaid or ("param" not in error and error["message"].startswith(TITLES))
        assert unsaid, error["message"]
