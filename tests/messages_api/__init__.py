"""A Messages API on loopback that refuses what the real one refuses."""

from tests.messages_api.script import Answer, Fault, calls, says
from tests.messages_api.server import MessagesApi, Received

__all__ = ["Answer", "Fault", "MessagesApi", "Received", "calls", "says"]
