"""Figures in a sentence, as the stage prints them."""

from typing import Any


def of_words(split: str, results: dict[str, Any]) -> None:
    """Prints what the accuracy of tags does not say: of unseen words, spans and unseen tags, where there are any."""
    unseen = results["unseen"]
    parts = []
    if "accuracy" in unseen:
        parts.append(f"{unseen['accuracy']:.4f} on the {unseen['words']:,} words that training lacks")
    if "spans" in results:
        parts.append(f"F1 of spans {results['spans']['f1']:.4f}")
    if count := results["words_with_unseen_tags"]:
        parts.append(f"{count:,} words have a tag that training lacks: errors, and no part of the loss")
    if parts:
        print(f"{split}: {'; '.join(parts)}")


def of_numbers(what: str, figures: dict[str, Any]) -> None:
    print(
        f"{what}: mean absolute error {figures['mae']:.4g} (95 % interval {figures['mae_low']:.4g} to "
        f"{figures['mae_high']:.4g}; the mean's {figures['baseline_mae']:.4g}), root mean squared error "
        f"{figures['rmse']:.4g}, R2 {figures['r2']:.4f} ({figures['r2_low']:.4f} to {figures['r2_high']:.4f})"
    )
