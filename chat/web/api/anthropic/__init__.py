"""Anthropic's Messages API beside OpenAI's, for the programs that were written for it.

    POST /v1/messages                 the next message of a conversation
    POST /v1/messages/count_tokens    how many tokens its prompt has

`shapes` are the requests, with `blocks` and `tools` in them; `reply` and `errors` write what
comes of them. The key may come as `x-api-key`; the headers `anthropic-version` and
`anthropic-beta` change nothing. All else is as at the other addresses.

Source: Anthropic's API reference, as the package `anthropic` types it.
"""
