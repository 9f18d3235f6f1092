"""The words of which synthetic prompts are made: short, common, and one token each.

Chosen from the commonest English words so that every one, with the space before it and at the start of a text, is a
single token in the tokenizers cl100k_base, o200k_base and p50k_base (tiktoken), those of Claude 2 and of DeepSeek V3
(both as `tokenizers` files), Mistral v1 (that of Llama 2 in form: SentencePiece, 32,000 pieces), Mistral v3 and
Mistral Tekken; texts of up to 3,000 of these words have exactly as many tokens in all eight. Checked November 2026.
"""

from __future__ import annotations

_TEXT = """
a able about above act add after again age ago air all also always am among an and animal another answer any apple
are area arm art as ask at away back bad bag ball band bank bar base be beat because bed been before begin being
below best better between big bill bird bit black block blue board boat body bone book both bottom box boy bread
break build burn but buy by call camp can cap car care case cat catch cause cell cent center chair change chart
check chief child church circle city claim class clean clear clock close cloud collect color column come common
company control cool copy corn correct cost could count country course cover create cross current cut dark day deal
deep degree design did die direct do doctor does dog done door double down draw drive drop each ear early earth edge
effect either element else end energy engine enter equal even event ever every example except eye face fact fair
fall family far fast father feed felt field fig figure fill final find fine fire first fish fit five flat floor flow
flower fly follow food foot for force forest form forward found four free friend from front fruit full fun game
general get girl give glass go gold good got grand grass gray great green ground group guide had hair half hand hard
has hat have he head heart heat held help her here high hill him his history hold hole home horse hot hour house how
ice if in inch include into iron is it job join joy just keep key king know lake land large last late law lay lead
learn leave led left leg length less let letter level lie life light like line list little live log long look lost
love low machine made main major make man many map mark market mass master match may me mean men method middle mile
mind mine miss modern money month more most mother mount mouth move much music must my name nation natural near need
never new next night no nor note nothing notice now number object of off offer office often oh old on once one only
open or order organ other our out over own page pair paper parent part party pass past path pattern pay people
perhaps period person phrase picture piece place plain plan plane plant play please point port pose post power
present press pretty print problem process product pull push put quick quiet race radio rail rain raise ran range
rather read ready real reason record red region repeat reply require rest result rich ride right ring rise river
road rock roll room root rose round row rub rule run safe said same sat save say scale school score sea search
season seat second section see seed select self send sent set shape share sharp she sheet shell shine ship shop
shore short should show side sign similar simple since sing single sit six size skill skin sky sleep slow small so
soft some son song soon sound space special speed spot spring square stand star start state station stead step stick
still stone stood stop store story stream street string strong student subject such sun support surface table tail
take talk team term test than that the their then there these they thing think third this those though three through
throw thus time tiny to too tool top total touch town track trade train tree true try tube turn two type under unit
until up us use usual value very view voice wait walk wall was watch water wave way we wear weather week weight well
went were west what wheel when where whether which while white who whose why wide will win wind window wing wire
with woman wood word work
"""
WORDS = tuple(_TEXT.split())
