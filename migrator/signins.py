"""Whether an app that lost its keys is let in with its identity: what its log says, and what it does not say.

Nobody but the app can sign in as its identity. So its own log is read, for texts that clients and services are known to write
when signing in with a token fails (`failures` in `services.toml`). Their absence is no proof that everything works: a client
that was not used yet has said nothing. What only time proves is named in the plan's rest risk.
"""

from __future__ import annotations

from collections.abc import Sequence

from migrator.errors import CloudError, UnprovenError
from migrator.model import Json, ResourceId, Step
from migrator.passwordless.services import common_failures, services
from migrator.ports import StepContext
from migrator.veil import section

LOOK = 20.0
"""Seconds that a client is given to sign in before its log is read."""
AGAIN = 30.0
"""Seconds between two looks, while what fails may still begin to work."""


def wait(step: Step, revision: str, ctx: StepContext) -> tuple[bool, str]:
    """Read the log of a revision that runs until it lacks the known failures; that it falls silent after one is no proof.

    Args:
        step: The `app-switch`, with swaps.
        revision: The one that runs.
        ctx: The surroundings of the step that proves.

    Returns:
        Whether the log could be read, and what is to be said of it.

    Raises:
        UnprovenError: signing in still fails when every right must have taken effect.
    """
    swaps: Json = step.change["swaps"]
    containers = {str(group["container"]) for group in swaps["env"] if not group["init"]}
    if not containers:
        return True, ""
    texts = failures(swaps)
    titles = ", ".join(services()[one].title for one in swaps["services"])
    began, seen, said = ctx.clock.now(), set[str](), ""
    ctx.tell("the app to sign in")
    ctx.clock.sleep(min(LOOK, ctx.propagation))
    while True:
        try:
            lines = _lines(step.target, revision, containers, ctx)
        except CloudError as error:
            return False, f"its log could not be read, so nothing shows that it is let in: {ctx.redact(error.what)}"
        fresh = [line.lower() for line in lines if line not in seen]
        seen.update(lines)
        met = [text for text in texts if any(text.lower() in line for line in fresh)]
        late = ctx.clock.now() - began >= ctx.propagation
        if not met and not (said and not fresh):
            return True, f"its log lacks the known failures of {titles}"
        if not met and late:
            return False, f"its log says: {said}, and nothing since: nothing shows that it is let in"
        if met and late:
            raise UnprovenError(
                f"{ResourceId.parse(step.target).name} is not let in with its identity",
                why=f"the log of {revision} says: {met[0]}",
                hint=f"see it: az containerapp logs show --ids {step.target} --revision {revision}; the plan names the role "
                "that the evidence asked for, and the app may need more",
            )
        said = met[0] if met else said
        ctx.tell(f"the identity's rights to take effect (its log says: {said})")
        ctx.clock.sleep(AGAIN)


def failures(swaps: Json) -> tuple[str, ...]:
    """Texts that tell that signing in fails, of the services in use and of every client."""
    own = [text for one in swaps["services"] for text in services()[one].failures]
    return tuple(dict.fromkeys([*own, *common_failures()]))


def _lines(app: str, revision: str, containers: set[str], ctx: StepContext) -> Sequence[str]:
    found: list[str] = []
    for replica in ctx.cloud.list_replicas(app, revision):
        for container in section(replica, "properties", "containers") or []:
            endpoint = container.get("logStreamEndpoint")
            if endpoint and container.get("name") in containers:
                found += ctx.cloud.tail_log(app, str(endpoint))
    return found
