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
