from .folder import save as save
from .page import html as html
from .page import write_html as write_html
from .terminal import show as show
