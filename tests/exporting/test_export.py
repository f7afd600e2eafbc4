"""Plans in other languages: read by parsers that others wrote, held against Azure's types, and run."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hcl2
import pytest
import tree_sitter_bicep
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_sitter import Language, Node, Parser

from migrator.cli import keylift
from migrator.errors import KeyliftError, UsageError
from migrator.exporting import az, bicep, targets, terraform
from migrator.exporting.wanted import Assignment, Change, Identity, VaultSecret, Wanted, wanted
from migrator.model import ResourceId
from tests.conformance.azure_cli import PROGRAM, Az
from tests.conformance.types import check_request
from tests.e2e.promises import witness
from tests.e2e.test_estates import ONE, app, vault
from tests.output import samples

GOLDEN = Path(__file__).parent / "golden"
BICEP = Parser(Language(tree_sitter_bicep.language()))
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda text: "/" not in text
)


def faults(node: Node) -> Iterator[str]:
    if node.is_error or node.is_missing:
        yield f"{node.start_point}: {node.text!r}"
    for child in node.children:
        yield from faults(child)


def bicep_faults(text: str) -> list[str]:
    return list(faults(BICEP.parse(text.encode()).root_node))


def uncommented(text: str) -> str:
    """The parts to merge, without the marks that make comments of them."""
    _, _, parts = text.partition("\n# Change in the resource")
    return "\n".join(
        line[2:] for line in parts.splitlines() if line.startswith("# ") and "what it has besides" not in line
    )


def read_terraform(text: str) -> Any:
    return hcl2.load(io.StringIO(text))


@pytest.mark.parametrize("target", targets.known())
def test_a_plan_looks_as_before(target: str) -> None:
    for name, text in targets.export(samples.plan(), target).items():
        path = GOLDEN / name
        if os.environ.get("KEYLIFT_GOLDEN") == "write":
            path.write_bytes(text.encode())
        assert path.read_bytes() == text.encode(), f"{name}: KEYLIFT_GOLDEN=write pytest tests/exporting, then read it"
        assert not any(canary in text for canary in samples.CANARIES)


def test_bicep_is_bicep() -> None:
    for text in targets.export(samples.plan(), "bicep").values():
        assert bicep_faults(text) == []
        assert "param assignRoles bool = true" in text


def test_terraform_is_terraform() -> None:
    (text,) = targets.export(samples.plan(), "terraform").values()
    made = read_terraform(text)
    roles = [body for each in made["resource"] for kind, body in each.items() if "role_assignment" in kind]
    assert roles
    assert all("uuidv5" in json.dumps(role) for role in roles)
    merged = read_terraform(uncommented(text))
    assert {kind.strip('"') for each in merged["resource"] for kind in each} == {"azurerm_container_app"}


def test_the_parts_to_merge_have_the_shape_of_the_resource() -> None:
    """Names in the variables are those of Azure's type, which the app's own code has."""
    changes = wanted(samples.plan()).apps
    assert changes
    for change in changes:
        said = check_request("Microsoft.App/containerApps", "2025-07-01", bicep.part(change))
        assert [text for text in said if "not in the type" in text] == []


@given(names=st.lists(NAMES, min_size=6, max_size=6))
@settings(deadline=None, max_examples=60)
def test_no_name_gets_out_of_its_quotes(names: list[str]) -> None:
    """Names of a plan are somebody else's text: they are told, never acted on."""
    one, two, three, env, key, tag = names
    identity = ResourceId.parse(
        f"/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{one}"
    )
    shop = f"/subscriptions/s/resourceGroups/g/providers/Microsoft.App/containerApps/{two}"
    kept = ResourceId.parse("/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv")
    secret = ResourceId.parse(f"{kept}/secrets/{three}")
    source = {"app": shop, "kind": "env", "container": two, "init": False, "env": env}
    given_ = Wanted(
        f"{one}\n{two}",
        (Identity(identity, True, "westeurope", {key: tag}),),
        (Assignment(secret, "role", f"{three}\n", str(identity), shop),),
        (VaultSecret(kept, three, {key: tag}, source),),
        (
            Change(
                ResourceId.parse(shop), False, (str(identity),),
                ({"name": three, "key_vault_url": f"https://kv/secrets/{three}", "identity": str(identity)},),
                ({"container": two, "init": False, "env": env, "secret": three},
                 {"container": two, "init": True, "env": env, "secret": three}),
                ({"server": key, "identity": str(identity)},), True, f"{two}--1", True,
            ),
        ),
        (f"{one}\nrm -rf /",),
    )  # fmt: skip
    for text in bicep.files(given_).values():
        assert bicep_faults(text) == []
    (written,) = terraform.files(given_).values()
    identities = read_terraform(written)["resource"][0]
    assert len(identities) == 1
    (script,) = az.files(given_).values()
    # the shell's own words: a function for each command that is not az, and what each is given
    told = run_told(script)
    assert {words[0] for words in told} == {"az", "echo", "ask", "put", "again", "hold", "proven", "release"}
    named = [words for words in told if words[:3] == ["az", "identity", "create"]]
    assert [words[4] for words in named] == [one]


def run_told(script: str) -> list[list[str]]:
    """The commands of a script by the shell's own reading, none of them carried out."""
    _, _, body = script.partition("\n\n\n")
    names = ("az", "ask", "put", "again", "proven", "hold", "release", "shift_from", "echo")
    told = "".join(
        f"{name}() {{ printf '%s\\0' {name} \"$@\" '' >&3; builtin printf '\\1\\0' >&3; }}\n" for name in names
    )
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-c", f"exec 3>&1 >/dev/null 2>&1\nset -f\nPATH=/nowhere\n{told}{body}"],
        stdout=subprocess.PIPE,
        env={"LC_ALL": "C.UTF-8"},
    ) as shell:
        out, _ = shell.communicate(timeout=30)
    commands = [part for part in out.decode("utf-8", "replace").split("\0\1\0") if part]
    return [command.removesuffix("\0").split("\0") for command in commands]


def several(traffic: list[dict[str, Any]]) -> dict[str, Any]:
    """The configuration of an app whose revisions share its traffic."""
    return {
        "activeRevisionsMode": "Multiple",
        "ingress": {"external": True, "targetPort": 80, "traffic": traffic},
    }


@pytest.mark.skipif(not PROGRAM.exists(), reason="azure-cli is not installed: make azure-cli")
def test_the_script_does_what_the_plan_does(tmp_path: Path) -> None:
    """Run by bash with az against a cloud: stopped on the way and begun again, it ends as apply would have it."""
    token, key, stored = (
        "Canary1-kT9vQ2xZ7mLw4pRsHb3n\n\n",
        "Canary2-kT9vQ2xZ7mLw4pRsHb3n",
        "Canary3-kT9vQ2xZ7mLw4pRsHb3n",
    )
    following = app(
        "following",
        {"TOKEN": token},
        {"stored": stored},
        configuration=several([{"latestRevision": True, "weight": 100}]),
    )
    named = app("named", {"API_KEY": key}, configuration=several([{"revisionName": "named--one", "weight": 100}]))
    named["properties"]["latestRevisionName"] = "named--one"
    estate = {"schema": 1, "subscriptions": [ONE], "resources": [vault(), following, named]}
    with witness(estate) as seen:
        before = seen.documents()
        plan = seen.plan()
        line = Az(seen.simulator, tmp_path)
        host = line.use_vault(line("keyvault", "show", "-n", "kv-one", "--query", "properties.vaultUri"))
        script = targets.export(plan, "az")["keylift.sh"]
        assert "Canary" not in script
        # az makes a vault's address of its name: here it has a port instead
        script = re.sub(r"(?m)^put kv-one ", f"put {host} ", script)
        stopped, _, _ = script.partition("\nproven --name following ")

        def run(text: str) -> None:
            (tmp_path / "keylift.sh").write_text(text)
            done = line.script(tmp_path / "keylift.sh", TRIES="40", PAUSE="0.2")
            assert done.returncode == 0, done.stdout + done.stderr
            assert "Canary" not in done.stdout + done.stderr

        def traffic(of: dict[str, Any]) -> list[tuple[str, int]]:
            shown = seen.documents()[of["id"]]["properties"]["configuration"]["ingress"]["traffic"]
            return [(each.get("revisionName") or "latest", each["weight"]) for each in shown if each["weight"]]

        first = before[following["id"]]["properties"]["latestRevisionName"]
        assert stopped != script
        run(stopped)
        assert traffic(following) == [(first, 100)]  # the new revision is there, and nothing has shown that it runs
        for _ in range(2):
            run(script)
            assert traffic(following) == [("latest", 100)]
            latest = seen.documents()[named["id"]]["properties"]["latestRevisionName"]
            assert latest != "named--one"
            assert traffic(named) == [(latest, 100)]
        seen.check_applied(plan, before)
        assert {secret["value"] for secret in seen.azure.secrets(following["id"]).values()} == {token, stored}


def test_files_go_where_they_are_asked_for(tmp_path: Path) -> None:
    plan = samples.plan()
    (tmp_path / "plan.json").write_text(plan.to_json())
    run = CliRunner().invoke(
        keylift, ["export", str(tmp_path / "plan.json"), "--to", "bicep", "-o", str(tmp_path / "x")]
    )
    assert run.exit_code == 0, run.output
    written = sorted(path.name for path in (tmp_path / "x").iterdir())
    assert written == sorted(targets.export(plan, "bicep"))
    one = CliRunner().invoke(keylift, ["export", str(tmp_path / "plan.json"), "--to", "az"])
    assert one.stdout == targets.export(plan, "az")["keylift.sh"]
    (tmp_path / "file").touch()
    nowhere = ["export", str(tmp_path / "plan.json"), "--to", "az", "-o", str(tmp_path / "file" / "x")]
    with pytest.raises(KeyliftError, match="cannot be made"):
        CliRunner().invoke(keylift, nowhere, catch_exceptions=False)


def test_files_of_several_groups_are_not_poured_into_one(tmp_path: Path) -> None:
    """Ids in other cases than Azure documents them; an identity that lies in another group than the secret."""
    plan = samples.plan()
    other = json.loads(
        plan.to_json().replace(
            "resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity",
            "resourcegroups/rg-ids/providers/microsoft.managedidentity",
        )
    )
    changed = replace(
        plan,
        steps=tuple(
            replace(plan.steps[i], **{n: step[n] for n in ("target", "app", "change")})
            for i, step in enumerate(other["steps"])
        ),
    )
    files = targets.export(changed, "bicep")
    assert sorted(files) == ["rg-ids.bicep", "rg-shop.bicep"]
    assert all(bicep_faults(text) == [] for text in files.values())
    assert "deploy the files of those groups first" in files["rg-shop.bicep"]
    assert "resourceGroup('11111111-1111-4111-8111-111111111111', 'rg-ids')" in files["rg-shop.bicep"]
    (tmp_path / "plan.json").write_text(changed.to_json())
    with pytest.raises(UsageError, match="2 files"):
        CliRunner().invoke(keylift, ["export", str(tmp_path / "plan.json"), "--to", "bicep"], catch_exceptions=False)


def test_what_takes_away_has_no_words() -> None:
    contract = replace(samples.plan(), options={"finalize": "20260101-000000-abcdef"})
    with pytest.raises(UsageError, match="cannot be exported"):
        targets.export(contract, "bicep")
    with pytest.raises(UsageError, match="'pulumi'"):
        targets.export(samples.plan(), "pulumi")
