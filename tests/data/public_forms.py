"""Small files in the form of public datasets: their separators, headers, ids, gaps and oddities, with drawn content."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

USERS, ITEMS, ROWS = 40, 55, 600


@dataclass(frozen=True, kw_only=True)
class Form:
    """One public form.

    Attributes:
        name: of the file.
        make: the bytes, and the (user, item) of each row, as text, in order.
        roles: role to column, as the reader must find them.
        how: options that the form needs, and why rows are left out is for the test to know.
        seen: words that `data inspect` must print.
    """

    name: str
    make: Callable[[], tuple[bytes, list[tuple[str, str]]]]
    roles: dict[str, str]
    how: dict[str, Any] = field(default_factory=dict)
    seen: tuple[str, ...] = ()

    def write(self, folder: Path) -> tuple[Path, set[tuple[str, str]]]:
        """The file, and the pairs in it."""
        raw, pairs = self.make()
        (folder / self.name).write_bytes(raw)
        return folder / self.name, set(pairs)


def drawn(seed: int = 0) -> list[tuple[int, int, int, int]]:
    """600 different (user, item), a rating of 1 to 5 and a time each; popular items first, users in order."""
    draw = np.random.default_rng(seed)
    weights = 1 / np.arange(1, ITEMS + 1) ** 0.7
    scores = np.log(weights) + draw.gumbel(size=(USERS, ITEMS))
    chosen = sorted(map(int, np.argsort(-scores.ravel())[:ROWS]))
    return [
        (place // ITEMS, place % ITEMS, int(draw.integers(1, 6)), int(draw.integers(1_200_000_000, 1_600_000_000)))
        for place in chosen
    ]


def lines(rows: list[list[object]], separator: str, header: str = "") -> bytes:
    return (header + "".join(separator.join(map(str, row)) + "\n" for row in rows)).encode()


def table(rows: list[list[object]], header: list[str] | None = None) -> bytes:
    """A CSV with quotes where they are needed."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([*([header] if header else []), *rows])
    return out.getvalue().encode()


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def gowalla() -> tuple[bytes, list[tuple[str, str]]]:
    """SNAP loc-gowalla_totalCheckins.txt: user, ISO time, latitude, longitude, place; tabs, no header."""
    draw = np.random.default_rng(1)
    rows = [[u, iso(t), f"{draw.uniform(-60, 70):.10f}", f"{draw.uniform(-150, 160):.10f}", 9000 + 37 * i]
            for u, i, _, t in drawn()]  # fmt: skip
    return lines(rows, "\t"), [(str(row[0]), str(row[4])) for row in rows]


def brightkite() -> tuple[bytes, list[tuple[str, str]]]:
    """SNAP loc-brightkite_totalCheckins.txt: as Gowalla, with places named by 32 hexadecimal digits."""
    draw = np.random.default_rng(2)
    places = ["".join(draw.choice(list("0123456789abcdef"), 32)) for _ in range(ITEMS - 1)] + ["0" * 32]
    rows = [[u, iso(t), f"{draw.uniform(-60, 70):.6f}", f"{draw.uniform(-150, 160):.6f}", places[i]]
            for u, i, _, t in drawn()]  # fmt: skip
    return lines(rows, "\t"), [(str(row[0]), str(row[4])) for row in rows]


def steam() -> tuple[bytes, list[tuple[str, str]]]:
    """Steam-200k: user, title in quotes, purchase or play, hours, 0; a purchase has 1.0 hours."""
    draw = np.random.default_rng(3)
    rows: list[list[object]] = []
    for u, i, rating, _ in drawn():
        title = f"Total War, Part {i}" if i % 3 else f"Counter-Strike {i}"
        rows.append([151600000 + 37 * u, title, "purchase", "1.0", 0])
        if rating > 2:
            rows.append([151600000 + 37 * u, title, "play", f"{draw.gamma(0.5) * 40:.1f}", 0])
    return table(rows), [(str(row[0]), str(row[1])) for row in rows if row[2] == "play"]


def amazon_reviews(new: bool) -> tuple[bytes, list[tuple[str, str]]]:
    """Amazon reviews as JSON lines: names until 2018, or those of 2023; fields missing here and there, line breaks in texts."""
    records, pairs = [], []
    for n, (u, i, rating, t) in enumerate(drawn()):
        user, item = f"A{u:05d}XZ", f"{'B00' if i % 4 else '000'}{i:07d}"
        text = 'It\'s "great",\nreally: {yes}\t\u00e9 \U0001f600' if n % 3 else ""
        if new:
            record: dict[str, Any] = {
                "rating": float(rating), "title": "Fine, \\ good", "text": text, "images": [] if n % 2 else [{"small": "x"}],
                "asin": f"V{i:04d}{n % 3}", "parent_asin": item, "user_id": user, "timestamp": t * 1000 + 123,
                "helpful_vote": n % 5, "verified_purchase": n % 2 == 0,
            }  # fmt: skip
        else:
            record = {
                "overall": float(rating), "verified": True, "reviewTime": "09 13, 2009", "reviewerID": user, "asin": item,
                "style": {"Format:": " Hardcover"}, "reviewerName": f"N {u}", "reviewText": text, "summary": "ok",
                "unixReviewTime": t, "helpful": [0, 1],
            }  # fmt: skip
            if n % 7 == 0:
                del record["style"], record["reviewerName"]
        records.append(json.dumps(record, ensure_ascii=bool(n % 2)))
        pairs.append((user, item))
    return ("\n".join(records) + "\n").encode(), pairs


def yelp() -> tuple[bytes, list[tuple[str, str]]]:
    """yelp_academic_dataset_review.json."""
    records, pairs = [], []
    for n, (u, i, rating, t) in enumerate(drawn()):
        user, item = f"mh_-eMZ6K{u:03d}", f"XQfwVwDr-{i:03d}"
        records.append(json.dumps({
            "review_id": f"r{n}_35", "user_id": user, "business_id": item, "stars": float(rating), "useful": n % 4, "funny": 0,
            "cool": 1, "text": "Good, \"really\"\n\n\nyes", "date": iso(t)[:19].replace("T", " "),
        }))  # fmt: skip
        pairs.append((user, item))
    return ("\n".join(records) + "\n").encode(), pairs


def zipped(make: Callable[[], tuple[bytes, list[tuple[str, str]]]]) -> tuple[bytes, list[tuple[str, str]]]:
    raw, pairs = make()
    return gzip.compress(raw), pairs


def hetrec() -> tuple[bytes, list[tuple[str, str]]]:
    """HetRec 2011 Last.fm user_artists.dat: tabs, header, listening counts."""
    draw = np.random.default_rng(4)
    rows = [[u + 2, i + 51, int(draw.pareto(0.8) * 50) + 1] for u, i, *_ in drawn()]
    return lines(rows, "\t", "userID\tartistID\tweight\n"), [(str(row[0]), str(row[1])) for row in rows]


def recbole(separator: str, *, aligned: bool = False) -> tuple[bytes, list[tuple[str, str]]]:
    """RecBole .inter with other separators than tabs and names without types."""
    rows = [[u + 1, i + 1, rating, t] for u, i, rating, t in drawn()]
    head = separator.join(("user_id", "item_id", "rating", "timestamp")) + "\n"
    if aligned:
        text = "".join(f"{row[0]:>6}{row[1]:>8}{row[2]:>4}  {row[3]}\n" for row in rows)
        return ("user_id item_id  rating   timestamp\n" + text).encode(), [(str(row[0]), str(row[1])) for row in rows]
    return lines(rows, separator, head), [(str(row[0]), str(row[1])) for row in rows]


def wide(corner: str = "user", *, numbers: bool = False) -> tuple[bytes, list[tuple[str, str]]]:
    """A row for each user, a column for each item, blank where there is no rating."""
    given = {(u, i): rating for u, i, rating, _ in drawn()}
    items = [str(500 + i) if numbers else f"item {i}" for i in range(ITEMS)]
    rows = [[f"u{u}", *(given.get((u, i), "") for i in range(ITEMS))] for u in range(USERS)]
    return table(rows, [corner, *items]), [(f"u{u}", items[i]) for u, i in given]


def jester_wide() -> tuple[bytes, list[tuple[str, str]]]:
    """Jester: the number of rated jokes, then -10 to 10 for each joke, 99 for those not rated; no header, no user ids."""
    draw = np.random.default_rng(5)
    given = {(u, i) for u, i, *_ in drawn()}
    rows = [[f"{draw.uniform(-10, 10):.2f}" if (u, i) in given else 99 for i in range(ITEMS)] for u in range(USERS)]
    rows = [[sum(cell != 99 for cell in row), *row] for row in rows]
    return table(rows), [(str(u), str(i)) for u, i in given]


def jester_long() -> tuple[bytes, list[tuple[str, str]]]:
    """Jester as a table: user, joke, rating with 99 for none."""
    draw = np.random.default_rng(6)
    rows = [[u + 1, i + 1, f"{draw.uniform(-10, 10):.2f}" if rating > 1 else 99] for u, i, rating, _ in drawn()]
    return table(rows, ["userId", "jokeId", "rating"]), [(str(r[0]), str(r[1])) for r in rows if r[2] != 99]


def amazon_ratings() -> tuple[bytes, list[tuple[str, str]]]:
    """Amazon ratings only: item, user, rating, time in old files; here user first. ASINs may begin with zeros."""
    rows = [
        [f"A{u:05d}XZ", f"000{i:07d}" if i % 2 else f"B00{i:06d}X", float(rating), t] for u, i, rating, t in drawn()
    ]
    return table(rows), [(str(row[0]), str(row[1])) for row in rows]


def kuairec() -> tuple[bytes, list[tuple[str, str]]]:
    """KuaiRec big_matrix.csv."""
    draw = np.random.default_rng(7)
    header = ["user_id", "video_id", "play_duration", "video_duration", "time", "date", "timestamp", "watch_ratio"]
    rows = []
    for u, i, _, t in drawn():
        played, length = int(draw.integers(0, 60_000)), int(draw.integers(3_000, 30_000))
        when = datetime.fromtimestamp(t, UTC)
        rows.append([u, i, played, length, when.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3], when.strftime("%Y%m%d"),
                     f"{t}.{int(draw.integers(0, 999)):03d}", played / length])  # fmt: skip
    return table(rows, header), [(str(row[0]), str(row[1])) for row in rows]


def retailrocket() -> tuple[bytes, list[tuple[str, str]]]:
    """RetailRocket events.csv: times in milliseconds first, the event, and a transaction number for a few."""
    rows = []
    for u, i, rating, t in drawn():
        event = ("view", "view", "view", "addtocart", "transaction")[rating - 1]
        rows.append([t * 1000, 257597 + u, event, 355908 + i, 4000 + i if event == "transaction" else ""])
    return table(rows, ["timestamp", "visitorid", "event", "itemid", "transactionid"]), [
        (str(r[1]), str(r[3])) for r in rows
    ]


def priced() -> tuple[bytes, list[tuple[str, str]]]:
    """Orders with prices beside ids."""
    draw = np.random.default_rng(8)
    rows = [[f"{10000 + u}", f"8{i:03d}A", int(rating), f"{draw.uniform(0.5, 90):.2f}", iso(t)[:10]]
            for u, i, rating, t in drawn()]  # fmt: skip
    return table(rows, ["CustomerID", "StockCode", "Quantity", "UnitPrice", "InvoiceDate"]), [
        (str(r[0]), str(r[1])) for r in rows
    ]


def decimal_commas() -> tuple[bytes, list[tuple[str, str]]]:
    rows = [[u, i, f"{rating - 1},5"] for u, i, rating, _ in drawn()]
    return lines(rows, ";", "Nutzer;Artikel;Bewertung\n").replace(b"Nutzer", b"Kunde"), [
        (str(r[0]), str(r[1])) for r in rows
    ]


def book_crossing() -> tuple[bytes, list[tuple[str, str]]]:
    """BX-Book-Ratings.csv: semicolons, everything in quotes, ISBNs with leading zeros and an X; 0 for implicit."""
    rows = [(276725 + u, f"034545{i:03d}{'X' if i % 5 == 0 else i % 10}", 0 if rating < 3 else 2 * rating)
            for u, i, rating, _ in drawn()]  # fmt: skip
    text = '"User-ID";"ISBN";"Book-Rating"\n' + "".join(f'"{u}";"{i}";"{r}"\n' for u, i, r in rows)
    return text.encode(), [(str(u), i) for u, i, _ in rows]


def foursquare() -> tuple[bytes, list[tuple[str, str]]]:
    """dataset_TSMC2014_NYC.txt: user, venue, category id and name, coordinates, minutes off UTC, and a date in words."""
    draw = np.random.default_rng(9)
    rows = [[u + 1, f"49bbd6c0f964a520f4531f{i:02d}", f"4bf58dd8d48988d127951{i % 30:03d}", f"Shop of kind {i % 30}",
             f"{draw.uniform(40.5, 41):.12f}", f"{draw.uniform(-74.3, -73.6):.12f}", -240,
             datetime.fromtimestamp(t, UTC).strftime("%a %b %d %H:%M:%S +0000 %Y")] for u, i, _, t in drawn()]  # fmt: skip
    return lines(rows, "\t"), [(str(row[0]), str(row[1])) for row in rows]


def taobao() -> tuple[bytes, list[tuple[str, str]]]:
    """UserBehavior.csv: user, item, category, behaviour, seconds; no header."""
    rows = [[u + 1, 2268318 + i, 2520377 + i % 9, ("pv", "buy", "cart", "fav", "pv")[rating - 1], t]
            for u, i, rating, t in drawn()]  # fmt: skip
    return table(rows), [(str(row[0]), str(row[1])) for row in rows if row[3] == "buy"]


NUMBERED = {"user": "column 0", "item": "column 1", "rating": "column 2", "timestamp": "column 3"}
UNTYPED = {"user": "user_id", "item": "item_id", "rating": "rating", "timestamp": "timestamp"}
OLD = {"user": "reviewerID", "item": "asin", "rating": "overall", "timestamp": "unixReviewTime"}
NEW = {"user": "user_id", "item": "parent_asin", "rating": "rating", "timestamp": "timestamp"}
YELP = {"user": "user_id", "item": "business_id", "rating": "stars", "timestamp": "date"}
LONG = {"user": "user", "item": "item", "rating": "rating"}
CHECKINS = {"user": "column 0", "item": "column 4", "timestamp": "column 1"}

FORMS: dict[str, Form] = {
    "SNAP Gowalla": Form(name="loc-gowalla_totalCheckins.txt", make=gowalla, roles=CHECKINS, seen=("latitude", "longitude")),
    "SNAP Brightkite": Form(name="Brightkite_totalCheckins.txt.gz", make=lambda: zipped(brightkite), roles=CHECKINS),
    "Foursquare TSMC2014": Form(
        name="dataset_TSMC2014_NYC.txt", make=foursquare,
        roles={"user": "column 0", "item": "column 1", "timestamp": "column 7"}, seen=("latitude",),
    ),
    "Steam-200k": Form(
        name="steam-200k.csv", make=steam, roles={"user": "column 0", "item": "column 1", "rating": "column 3"},
        how={"where": {"column 2": "play"}}, seen=("behaviour", "--where 'column 2=play'"),
    ),
    "Taobao UserBehavior": Form(
        name="UserBehavior.csv", make=taobao, roles={"user": "column 0", "item": "column 1", "timestamp": "column 4"},
        how={"where": {"3": ["buy"]}}, seen=("behaviour",),
    ),
    "Amazon 2018, JSON lines": Form(name="Books_5.json", make=lambda: amazon_reviews(new=False), roles=OLD),
    "Amazon 2018, JSON lines, gzip": Form(
        name="Books_5.json.gz", make=lambda: zipped(lambda: amazon_reviews(new=False)), roles=OLD
    ),
    "Amazon 2023, JSON lines": Form(
        name="Books.jsonl", make=lambda: amazon_reviews(new=True), roles=NEW, seen=("milliseconds",)
    ),
    "Amazon 2023, JSON lines, gzip": Form(
        name="Books.jsonl.gz", make=lambda: zipped(lambda: amazon_reviews(new=True)), roles=NEW
    ),
    "Yelp": Form(name="yelp_academic_dataset_review.json", make=yelp, roles=YELP, seen=("jsonl",)),
    "HetRec Last.fm": Form(
        name="user_artists.dat", make=hetrec, roles={"user": "userID", "item": "artistID", "rating": "weight"},
        seen=("separator tab, header", ", counts"),
    ),
    "RecBole, blanks, no types": Form(name="ml.inter", make=lambda: recbole(" "), roles=UNTYPED, seen=("separator space",)),
    "RecBole, aligned": Form(
        name="ml.inter", make=lambda: recbole(" ", aligned=True), roles=UNTYPED, seen=("separator white space",)
    ),
    "RecBole, commas, no types": Form(name="ml.inter", make=lambda: recbole(","), roles=UNTYPED),
    "RecBole, tabs, no types": Form(name="ml.inter", make=lambda: recbole("\t"), roles=UNTYPED),
    "wide": Form(name="matrix.csv", make=wide, roles=LONG, how={"format": "wide"}, seen=("wide",)),
    "wide, numbers as items": Form(
        name="matrix.csv", make=lambda: wide("userId", numbers=True), roles=LONG, how={"format": "wide"}
    ),
    "wide, empty corner": Form(name="matrix.csv", make=lambda: wide("", numbers=True), roles=LONG, how={"format": "wide"}),
    "Jester, wide": Form(name="jester.csv", make=jester_wide, roles=LONG, how={"format": "wide", "missing": 99}),
    "Jester, long": Form(
        name="jester.csv", make=jester_long, roles={"user": "userId", "item": "jokeId", "rating": "rating"},
        how={"missing": 99},
    ),
    "Amazon ratings": Form(name="ratings_Books.csv", make=amazon_ratings, roles=NUMBERED),
    "KuaiRec": Form(
        name="big_matrix.csv", make=kuairec, roles={"user": "user_id", "item": "video_id", "timestamp": "timestamp"}
    ),
    "RetailRocket": Form(
        name="events.csv", make=retailrocket, roles={"user": "visitorid", "item": "itemid", "timestamp": "timestamp"},
        seen=("behaviour", "milliseconds", "--where event=transaction"),
    ),
    "prices": Form(
        name="orders.csv", make=priced,
        roles={"user": "CustomerID", "item": "StockCode", "rating": "Quantity", "timestamp": "InvoiceDate"},
    ),
    "decimal commas": Form(
        name="ratings.csv", make=decimal_commas, roles={"user": "Kunde", "item": "Artikel", "rating": "Bewertung"}
    ),
    "Book-Crossing": Form(
        name="BX-Book-Ratings.csv", make=book_crossing, roles={"user": "User-ID", "item": "ISBN", "rating": "Book-Rating"},
        seen=("ratings of 0",),
    ),
}  # fmt: skip
