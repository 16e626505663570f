"""Small tables of real data that chapters read, each with where it comes from.

- `nsw.parquet`: 445 participants of the National Supported Work experiment and 15,992 men of the
  Current Population Survey (LaLonde 1986; the selection of Dehejia and Wahba 1999), from the
  Python package causaldata 0.1.5, MIT licence, by Nick Huntington-Klein; columns renamed, both
  tables in one.
"""
