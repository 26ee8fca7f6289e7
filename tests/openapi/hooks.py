"""Who schemathesis is, and what it leaves alone: one person for everything, others for calls that end tokens, the operator."""

import itertools
import os
from typing import Any

import requests
import schemathesis

API = os.environ["API"]
ADMIN_TOKEN = os.environ["ADMIN_TOKEN"]
PASSWORD = "correct horse battery"
# After these the caller's token is worth nothing.
LAST_CALLS = {"accounts_delete", "accounts_log_out", "accounts_log_out_everywhere", "accounts_change_password"}
numbers = itertools.count()


def somebody() -> dict[str, Any]:
    """Somebody new: `{user, token}`."""
    body = {"handle": f"schema_{os.getpid()}_{next(numbers)}", "password": PASSWORD}
    return requests.post(f"{API}/v1/users", json=body, timeout=30).json()


PERSON = somebody()
# To whom operators do what they do.
OTHER = somebody()


@schemathesis.auth(refresh_interval=None)
class Tokens:
    """The token that a call takes."""

    def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str:
        operation = case.operation
        if operation.path.startswith("/v1/admin/") or operation.path == "/metrics":
            return ADMIN_TOKEN
        person = somebody() if operation.definition.raw["operationId"] in LAST_CALLS else PERSON
        return person["token"]

    def set(self, case: schemathesis.Case, data: str, context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Operators suspend and lock out somebody else: the person goes on asking."""
    names = {PERSON["user"]["id"], "@" + PERSON["user"]["handle"]}
    if case.operation.path.startswith("/v1/admin/users/") and case.path_parameters.get("user") in names:
        case.path_parameters["user"] = OTHER["user"]["id"]


@schemathesis.hook
def map_query(context: schemathesis.HookContext, query: Any) -> Any:
    """Polls do not wait. Cursors are the server's: the tests of paging use real ones, those of the API false ones."""
    if isinstance(query, dict):
        if context.operation.path == "/v1/realtime/poll":
            query["wait"] = 0
        query.pop("cursor", None)
        query.pop("ticket", None)
    return query
