"""Tables: rows of numbers and categories, by the names of their columns."""

from tlda.data.tabular.encoding import Encoded, encode
from tlda.data.tabular.sheets import Sheet, joined, read_sheet, sheet_of_frame
from tlda.data.tabular.table_pair import TableRows, Tabular

__all__ = ["Encoded", "Sheet", "TableRows", "Tabular", "encode", "joined", "read_sheet", "sheet_of_frame"]
