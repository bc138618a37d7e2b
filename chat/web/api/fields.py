"""What a request may hold beside what is offered: which of it does no harm, and why.

What changes the meaning of a reply is done or refused by name; what does not is accepted;
what nobody here knows is ignored, and named to whoever sent it (`chat.web.api.ignored`).

Source: the references of OpenAI, Anthropic, vLLM, llama.cpp's server, Ollama, LM Studio, LiteLLM,
OpenRouter and Mistral, and what their clients send.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Known(NamedTuple):
    """The fields of one shape that are known and not offered."""

    #: Accepted whatever their value, with the reason why.
    harmless: Mapping[str, str] = {}
    #: Accepted with one of these values, which ask for nothing; refused with any other.
    off: Mapping[str, tuple[Any, ...]] = {}
    #: Refused, unless they are null or an empty text.
    refused: frozenset[str] = frozenset()


def _because(reason: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


def described(known: Known) -> dict[str, Any]:
    """Return a JSON schema of each of the fields."""
    return {
        **{name: {"description": reason} for name, reason in known.harmless.items()},
        **{name: {"enum": [*values, None]} for name, values in known.off.items()},
        **{
            name: {"description": "Not offered.", "enum": ["", None]}
            for name in sorted(known.refused)
        },
    }


NOTES = _because(
    "A note for whoever keeps requests; here none are kept.",
    "user metadata store safety_identifier request_id session_id trace litellm_metadata "
    "litellm_call_id tags chat_id conversation_id",
)
SPEED = _because(
    "About speed, cost or memory, which the server sees to for everyone.",
    "service_tier prediction prompt_cache_key prompt_cache_options prompt_cache_retention "
    "cache_prompt cache_salt id_slot n_cache_reuse n_keep keep_alive num_ctx num_batch "
    "num_gpu num_thread priority stream_interval sse_ping_interval ttl draft_model",
)
EFFORT = {
    **_because("A wish of how much to write, and models know one way.", "verbosity"),
    **_because("In which of a client's fields thoughts are put.", "reasoning_split"),
}
THINKING = Known(
    harmless=_because(
        "Which earlier thoughts are shown again, which templates settle.",
        "clear_thinking keep block_binding",
    )
)
REASONING = Known(
    harmless=_because(
        "About summaries of what is thought, or about earlier thoughts; what is thought is given "
        "as it is, and the template settles which earlier thoughts are shown again.",
        "summary generate_summary context mode",
    )
)
CHANCE = _because(
    "One more way of drawing among likely words; which are likely stays as the others say.",
    "typical_p typical tfs_z top_a min_keep mirostat mirostat_tau mirostat_eta mirostat_mode "
    "dynatemp_range dynatemp_exponent smoothing_factor dry_multiplier dry_base "
    "dry_allowed_length dry_penalty_last_n dry_sequence_breakers xtc_probability xtc_threshold "
    "epsilon_cutoff eta_cutoff repeat_last_n samplers sampler_priority temperature_last "
    "length_penalty early_stopping",
)
FIGURES = _because(
    "Asks for figures or for another form of them; what is said stays the same.",
    "timings_per_token return_progress return_tokens return_token_ids return_tokens_as_token_ids "
    "return_prompt_text post_sampling_probs response_fields details",
)
HANDLING = _because(
    "How the prompt is put together, which the model's own format settles.",
    "add_generation_prompt add_special_tokens spaces_between_special_tokens",
)
REQUEST = Known(
    harmless={**NOTES, **SPEED, **EFFORT, **CHANCE, **FIGURES, **HANDLING},
    off={
        "best_of": (1,),
        "n_probs": (0,),
        "functions": ([],),
        "function_call": ("none", "auto"),
        "modalities": (["text"],),
        "bad_words": ([],),
        "do_sample": (True,),
        "documents": ([],),
        "format": ("",),
        "grammar": ("",),
        "ignore_eos": (False,),
        "images": ([],),
        "include_stop_str_in_output": (False,),
        "lora": ([],),
        "return_full_text": (False,),
        "safe_prompt": (False,),
        "skip_special_tokens": (True,),
        "stop_token_ids": ([],),
        "use_beam_search": (False,),
    },
    refused=frozenset(
        _because(
            "It changes what is read or said.",
            "allowed_token_ids audio chat_template guided_grammar input instructions moderation "
            "prompt_embeds prompt_logprobs structured_outputs suffix system "
            "truncate_prompt_tokens web_search_options",
        )
    ),
)
#: Where there is one reply, and no place for figures.
ALONE = {"n": (1,), "logprobs": (False,), "top_logprobs": (0,)}
CHAT = REQUEST._replace(off={**REQUEST.off, "echo": (False,)}, refused=REQUEST.refused | {"prompt"})
COMPLETION = REQUEST._replace(
    harmless={
        **REQUEST.harmless,
        **_because("About calls of tools, and there are none.", "parallel_tool_calls"),
    },
    off={**REQUEST.off, "tools": ([],), "tool_choice": ("none", "auto")},
    refused=REQUEST.refused | {"messages"},
)
RESPONSE = Known(
    harmless={
        **{
            name: why for name, why in REQUEST.harmless.items() if name not in ("metadata", "store")
        },
        **_because("About the server's own tools, and there are none.", "max_tool_calls"),
    },
    off={**REQUEST.off, **ALONE, "background": (False,), "context_management": ([],)},
    refused=(REQUEST.refused - {"input", "instructions"})
    | {"conversation", "messages", "prompt", "response_format"},
)

MESSAGE = Known(
    harmless={
        **_because(
            "A client's own notes on a message.",
            "id annotations created created_at timestamp model status type usage metadata "
            "provider_specific_fields logprobs parsed phase weight",
        ),
        **_because("About speed.", "cache_control prompt_cache_breakpoint"),
        **_because("A last message from the assistant is always continued.", "prefix partial"),
    },
    off={"images": ([],), "attachments": ([],), "files": ([],)},
    refused=frozenset({"audio"}),
)
PART = Known(
    harmless={
        **_because("About speed.", "cache_control prompt_cache_breakpoint"),
        **_because("A client's own notes on a part.", "id annotations logprobs citations parsed"),
    }
)
CALLED = Known(harmless=_because("What a client read in the arguments.", "parsed_arguments parsed"))
CALL = Known(harmless=_because("The place of a call among others.", "index"))
TOOL = Known(harmless=_because("About speed.", "cache_control"))
CALL_ITEM = Known(
    harmless=_because(
        "A client's own notes on a call.", "id status caller created_by async parsed_arguments"
    ),
    refused=frozenset({"namespace"}),
)
REASONING_ITEM = Known(
    harmless={
        **_because("A client's own notes on a thought.", "id encrypted_content status"),
        **_because("Less than what was thought.", "summary"),
    }
)
FLAT_TOOL = Known(
    harmless={
        **TOOL.harmless,
        **_because("About what is returned, which comes as text.", "output_schema"),
    },
    off={"allowed_callers": (["direct"],), "async": (False,), "defer_loading": (False,)},
)
TEXT = Known(harmless=_because("A wish of how much to write.", "verbosity"))
STREAM_OPTIONS = Known(
    harmless=_because(
        "Letters that hide how long a part is; none are added.", "include_obfuscation"
    )
)
TOKENIZE = Known(
    harmless=NOTES,
    off={"add_generation_prompt": (True,), "continue_final_message": (False, True)},
    refused=frozenset({"chat_template"}),
)

MESSAGES = CHAT._replace(
    harmless={
        **CHAT.harmless,
        **_because("About speed.", "cache_control speed"),
        **_because("Where and for whom Anthropic computes.", "inference_geo user_profile_id"),
        **_because("A note for whoever keeps requests; here none are kept.", "workspace_id"),
        **_because(
            "Which of Anthropic's own API is meant.", "anthropic_version anthropic_beta betas"
        ),
        **_because("Asks for figures.", "diagnostics"),
        **_because(
            "How to shorten a conversation that gets too long; here whole oldest turns go.",
            "context_management compaction",
        ),
        **_because("Where Anthropic runs code, and no tool here does.", "container"),
        **_because("What to do if there is no such model; here is one for all names.", "fallbacks"),
    },
    off={**CHAT.off, **ALONE, "mcp_servers": ([],)},
    refused=CHAT.refused - {"system"} | {"thread"},
)
INPUT_MESSAGE = Known(
    harmless=_because(
        "A client's own notes on a message.",
        "id type model usage stop_reason stop_sequence stop_details container context_management "
        "diagnostics",
    )
)
BLOCK = Known(
    harmless={
        **_because("About speed.", "cache_control"),
        **_because(
            "A client's own notes on a block.", "citations caller parsed_output toolset_name"
        ),
    }
)
THOUGHT = Known(harmless=_because("What only whoever wrote a thought can read.", "signature data"))
CUSTOM_TOOL = Known(
    harmless=_because("About speed.", "cache_control defer_loading eager_input_streaming"),
    off={"allowed_callers": (["direct"],), "input_examples": ([],)},
)
