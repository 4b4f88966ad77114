"""Which fields a request may have, field by field: everything that can be judged without the conversation."""

import re
from collections.abc import Iterator
from typing import Any

from tests.messages_api.claude_models import MODELS, Traits
from tests.messages_api.rejection import Rejected

_TOP = {
    "cache_control", "container", "diagnostics", "inference_geo", "max_tokens", "messages", "metadata", "model",
    "output_config", "service_tier", "speed", "stop_sequences", "stream", "system", "thinking", "tool_choice",
    "tools", "user_profile_id", "workspace_id",
}  # fmt: skip
_TOOL = {
    "allowed_callers", "cache_control", "defer_loading", "description", "eager_input_streaming", "input_examples",
    "input_schema", "name", "strict", "type",
}  # fmt: skip
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_BREAKPOINTS_MAX = 4

# type of block: fields it must have, fields it may have, roles that may send it
_BLOCKS: dict[str, tuple[set[str], set[str], set[str]]] = {
    "text": ({"text"}, {"cache_control", "citations"}, {"user", "assistant", "system"}),
    "image": ({"source"}, {"cache_control"}, {"user"}),
    "document": ({"source"}, {"cache_control", "citations", "context", "title"}, {"user"}),
    "search_result": ({"content", "source", "title"}, {"cache_control", "citations"}, {"user"}),
    "tool_result": ({"tool_use_id"}, {"cache_control", "content", "is_error", "toolset_name"}, {"user"}),
    "tool_use": ({"id", "input", "name"}, {"cache_control", "caller", "toolset_name"}, {"assistant"}),
    "thinking": ({"signature", "thinking"}, set(), {"assistant"}),
    "redacted_thinking": ({"data"}, set(), {"assistant"}),
    "server_tool_use": ({"id", "input", "name"}, {"cache_control", "caller"}, {"assistant"}),
    "web_search_tool_result": ({"content", "tool_use_id"}, {"cache_control", "caller"}, {"assistant"}),
}


def check_fields(body: dict[str, Any]) -> Traits:
    """Return the traits of the model that the request names; raise Rejected where a field is wrong."""
    for key in ("max_tokens", "messages", "model"):
        if key not in body:
            raise Rejected(f"{key}: Field required")
    _no_extras("", body, _TOP)
    _check_types(body)
    traits = MODELS.get(body["model"])
    if traits is None:
        raise Rejected(f"model: {body['model']}", 404)
    if body["max_tokens"] > traits.output_tokens_max:
        raise Rejected(
            f"max_tokens: {body['max_tokens']} > {traits.output_tokens_max}, which is the maximum allowed number of "
            f"output tokens for {body['model']}"
        )
    if body.get("stream"):
        raise Rejected("stream: this local server does not stream")
    _check_system(body.get("system"))
    _check_tools(body.get("tools") or [])
    _check_thinking(body.get("thinking"), body["max_tokens"], traits)
    _check_tool_choice(body.get("tool_choice"), body.get("tools") or [], traits)
    _check_output_config(body.get("output_config"))
    _check_breakpoints(body)
    return traits


def check_block(where: str, block: Any, role: str) -> None:
    """Raise Rejected where a content block of a message is malformed."""
    if not isinstance(block, dict):
        raise Rejected(f"{where}: Input should be a valid dictionary or object to extract fields from")
    kind = block.get("type")
    if kind not in _BLOCKS:
        raise Rejected(f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags")
    required, optional, roles = _BLOCKS[kind]
    for key in sorted(required - block.keys()):
        raise Rejected(f"{where}.{kind}.{key}: Field required")
    _no_extras(f"{where}.{kind}.", block, required | optional | {"type"})
    if role not in roles:
        raise Rejected(f"{where}: `{kind}` blocks are not allowed in messages with the role `{role}`")
    _check_block_values(f"{where}.{kind}", block, role)


def breakpoints(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every cache_control of a request, the top-level one included."""
    yield from _cache_controls({key: body.get(key) for key in ("tools", "system", "messages")})
    if body.get("cache_control") is not None:
        yield body["cache_control"]


def _check_types(body: dict[str, Any]) -> None:
    if not isinstance(body["model"], str):
        raise Rejected("model: Input should be a valid string")
    tokens = body["max_tokens"]
    if not isinstance(tokens, int) or isinstance(tokens, bool):
        raise Rejected("max_tokens: Input should be a valid integer")
    if tokens < 0:
        raise Rejected("max_tokens: Input should be greater than or equal to 0")
    if not isinstance(body["messages"], list):
        raise Rejected("messages: Input should be a valid array")


def _check_system(system: Any) -> None:
    if isinstance(system, str) or system is None:
        return
    if not isinstance(system, list):
        raise Rejected("system: Input should be a valid string or array")
    for index, block in enumerate(system):
        if not isinstance(block, dict) or block.get("type") != "text":
            raise Rejected(f"system.{index}.type: Input should be 'text'")
        _no_extras(f"system.{index}.", block, {"type", "text", "cache_control", "citations"})
        if not str(block.get("text", "")).strip():
            raise Rejected("system: text content blocks must be non-empty")


def _check_tools(tools: Any) -> None:
    for index, tool in enumerate(tools):
        where = f"tools.{index}.custom"
        for key in ("name", "input_schema"):
            if key not in tool:
                raise Rejected(f"{where}.{key}: Field required")
        _no_extras(f"{where}.", tool, _TOOL)
        if not _NAME.fullmatch(tool["name"]):
            raise Rejected(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if not isinstance(tool["input_schema"], dict) or tool["input_schema"].get("type") != "object":
            raise Rejected(f"{where}.input_schema.type: Input should be 'object'")
    names = [tool["name"] for tool in tools]
    if len(set(names)) != len(names):
        raise Rejected("tools: Tool names must be unique.")


def _check_thinking(thinking: Any, max_tokens: int, traits: Traits) -> None:
    if thinking is None:
        return
    kind = thinking.get("type")
    if kind not in ("adaptive", "enabled", "disabled", "between_tools"):
        raise Rejected("thinking.type: Input should be 'adaptive', 'enabled', 'disabled' or 'between_tools'")
    if (kind == "enabled" and not traits.takes_budget) or (kind == "disabled" and traits.always_thinks):
        raise Rejected(f'"thinking.type.{kind}" is not supported for this model.')
    if kind == "enabled" and not 1024 <= thinking.get("budget_tokens", 0) < max_tokens:
        raise Rejected("thinking.enabled.budget_tokens: must be at least 1024 and less than `max_tokens`")


def _check_tool_choice(choice: Any, tools: Any, traits: Traits) -> None:
    if choice is None:
        return
    kind = choice.get("type")
    if kind not in ("auto", "any", "tool", "none"):
        raise Rejected("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    if kind in ("any", "tool") and traits.always_thinks:
        raise Rejected(f'"tool_choice.type.{kind}" is not supported for this model.')
    if kind == "tool" and choice.get("name") not in [tool["name"] for tool in tools]:
        raise Rejected(f"Tool '{choice.get('name')}' not found in provided tools")


def _check_output_config(config: Any) -> None:
    if config is None:
        return
    _no_extras("output_config.", config, {"effort", "format"})
    if config.get("effort") not in (None, *_EFFORTS):
        raise Rejected("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")


def _check_breakpoints(body: dict[str, Any]) -> None:
    found = list(breakpoints(body))
    for each in found:
        if not isinstance(each, dict) or each.get("type") != "ephemeral" or each.get("ttl", "5m") not in ("5m", "1h"):
            raise Rejected("cache_control: Input should be {'type': 'ephemeral', 'ttl': '5m' or '1h'}")
    if len(found) > _BREAKPOINTS_MAX:
        raise Rejected(f"A maximum of 4 blocks with cache_control may be provided. Found {len(found)}.")


def _check_block_values(where: str, block: dict[str, Any], role: str) -> None:
    if block["type"] == "text":
        if not isinstance(block["text"], str):
            raise Rejected(f"{where}.text: Input should be a valid string")
        if not block["text"].strip():
            raise Rejected("messages: text content blocks must be non-empty")
        if role == "user" and block.get("citations"):
            raise Rejected(f"{where}.citations: Extra inputs are not permitted")
    if block["type"] == "search_result":
        for index, inner in enumerate(block["content"]):
            check_block(f"{where}.content.{index}", inner, role)
    if block["type"] == "tool_use":
        _check_tool_use(where, block)
    if block["type"] == "tool_result":
        _check_result(where, block)


def _check_tool_use(where: str, block: dict[str, Any]) -> None:
    if not isinstance(block["id"], str) or not _ID.fullmatch(block["id"]):
        raise Rejected(f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not isinstance(block["name"], str) or not _NAME.fullmatch(block["name"]):
        raise Rejected(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if not isinstance(block["input"], dict):
        raise Rejected(f"{where}.input: Input should be a valid dictionary")
    if "caller" in block and not isinstance(block["caller"], dict):
        raise Rejected(f"{where}.caller: Input should be a valid dictionary or object to extract fields from")


def _check_result(where: str, block: dict[str, Any]) -> None:
    content = block.get("content")
    if block.get("is_error") and not content:
        raise Rejected(f"{where}: content cannot be empty if `is_error` is true")
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise Rejected(f"{where}.content: Input should be a valid string or array")
    for index, inner in enumerate(content):
        if not isinstance(inner, dict) or inner.get("type") not in ("text", "image", "document", "search_result"):
            raise Rejected(f"{where}.content.{index}: Input tag does not match any of the expected tags")
        check_block(f"{where}.content.{index}", inner, "user")


def _no_extras(where: str, given: dict[str, Any], allowed: set[str]) -> None:
    for key in given:
        if key not in allowed:
            raise Rejected(f"{where}{key}: Extra inputs are not permitted")


def _cache_controls(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for each in value:
            yield from _cache_controls(each)
    elif isinstance(value, dict):
        if value.get("cache_control") is not None:
            yield value["cache_control"]
        # A schema or a tool's input may use the word for something of its own.
        for key in ("tools", "system", "messages", "content"):
            yield from _cache_controls(value.get(key))
