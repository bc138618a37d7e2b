"""What pydantic finds wrong with a value, in one sentence that does not repeat the value."""

from collections.abc import Callable

from pydantic import ValidationError


def explain(error: ValidationError, title: Callable[[str], str]) -> str:
    """Say the first fault of `error` in one sentence, without the value.

    `title` gives the name that the user knows a field by.
    """
    fault = error.errors(include_url=False, include_input=False)[0]
    if not fault["loc"]:
        return fault["msg"].removeprefix("Value error, ")
    limits = fault.get("ctx", {})
    match fault["type"]:
        case "greater_than_equal":
            problem = f"must be at least {limits['ge']:.10g}"
        case "less_than_equal":
            problem = f"must be at most {limits['le']:.10g}"
        case "int_type" | "int_from_float" | "int_parsing":
            problem = "must be a whole number"
        case "float_type" | "finite_number" | "float_parsing":
            problem = "must be a number"
        case "string_type" | "tuple_type":
            problem = "must be text"
        case "string_too_long":
            problem = f"must have at most {limits['max_length']:,} characters"
        case "literal_error":
            problem = f"must be {limits['expected']}"
        case "missing":
            problem = "is missing"
        case "extra_forbidden":
            problem = "is not known here"
        case "bool_type":
            problem = "must be true or false"
        case "list_type":
            problem = "must be a list"
        case "unfit":
            problem = fault["msg"]
        case _:
            problem = f"is not usable: {fault['msg'].removeprefix('Value error, ')}"
    return f"{title(str(fault['loc'][0]))} {problem}."
