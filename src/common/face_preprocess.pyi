from src.align.preprocess import preprocess as preprocess
from src.common.photos import read_image as read_image
from src.formats.lists import parse_lst_line as parse_lst_line
