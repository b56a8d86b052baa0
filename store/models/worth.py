"""An amount's worth in dollars, to the order of magnitude: what is asked first, not what is booked."""

# Minor units, as Polar counts them, that make about one US dollar: one digit of the rates of autumn 2026 is
# enough to tell ¥5,000 from $5,000. What is not listed counts like hundredths of a dollar.
PER_DOLLAR = {
    "aud": 150.0, "brl": 550.0, "cad": 140.0, "chf": 80.0, "clp": 950.0, "cny": 710.0,
    "cop": 400_000.0, "czk": 2_100.0, "dkk": 640.0, "eur": 86.0, "gbp": 75.0, "hkd": 780.0,
    "huf": 34_000.0, "idr": 1_650_000.0, "ils": 330.0, "inr": 8_800.0, "jpy": 150.0, "krw": 1_400.0,
    "mxn": 1_850.0, "myr": 420.0, "ngn": 145_000.0, "nok": 1_000.0, "nzd": 175.0, "php": 5_800.0,
    "pln": 365.0, "sek": 940.0, "sgd": 130.0, "thb": 3_250.0, "try": 4_200.0, "twd": 3_050.0,
    "usd": 100.0, "vnd": 26_000.0, "zar": 1_750.0,
}  # fmt: skip

OTHERWISE = 100.0


def worth(amount: int | None, currency: str | None) -> float:
    """About how many US dollars: 0 for nothing, never negative. `amount` in minor units of `currency`."""
    return abs(amount or 0) / PER_DOLLAR.get((currency or "").lower(), OTHERWISE)
